package sdktest_test

import (
	"strings"
	"testing"

	"policy-server/sdk"
	"policy-server/sdk/sdktest"
)

// verified asks about an image in every version, and answers with what it was told.
func verified(image string) sdk.Response {
	first, err := sdk.VerifyPubKeys(image, []string{"k"}, nil)
	if err != nil {
		return sdk.Fail(err)
	}
	second, err := sdk.VerifyKeylessGithubActions(image, "acme", "", nil)
	if err != nil {
		return sdk.Fail(err)
	}
	third, err := sdk.VerifyImage(sdk.ImageDemands{Image: image, Signatures: sdk.SignerDemand{
		AnyOf: []sdk.SignerConstraint{sdk.SignedByKey("k")},
	}})
	if err != nil {
		return sdk.Fail(err)
	}
	told := []string{first, second, third.Digest}
	for _, a := range third.Attestations {
		told = append(told, a.PredicateType)
	}
	return sdk.Accept().WithMessage(strings.Join(told, " "))
}

func TestImages(t *testing.T) {
	lookup := func(namespace, operation string, _ sdk.Value) (sdk.Value, error) {
		return sdk.JSON(`{"ips":["192.0.2.7"]}`), nil
	}
	host := sdktest.Images{
		"app:1": {Digest: "sha256:12"},
		"app:2": {Digest: "sha256:34", Attestations: sdk.JSON(`[{"demand":0,"predicateType":"t","predicate":{},"signers":[]}]`)},
	}.Host(lookup)
	for settings, want := range map[string]string{
		`{"image":"app:1"}`:      "sha256:12 sha256:12 sha256:12",
		`{"image":"app:2"}`:      "sha256:34 sha256:34 sha256:34 t",
		`{"lookup":"a.example"}`: "192.0.2.7",
	} {
		if answer, err := host.Evaluate(`{}`, settings); err != nil || !answer.Accepted || answer.Message != want {
			t.Errorf("%s: answer %+v, error %v, expected %s", settings, answer, err, want)
		}
	}
	for name, c := range map[string]struct {
		host           sdktest.Host
		settings, want string
	}{
		"an image that is not listed": {host, `{"image":"other"}`, "no signatures found for image: other "},
		"nobody for the rest":         {sdktest.Images{}.Host(nil), `{"lookup":"a.example"}`, "nothing answers net/v1/dns_lookup_host in this test"},
	} {
		if answer, err := c.host.Evaluate(`{}`, c.settings); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: answer %+v, error %v, expected %s", name, answer, err, c.want)
		}
	}
}
