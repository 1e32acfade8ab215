// Command require-attestations is a policy that lets containers run images only about which trusted
// signers have attested what the operator wants to know: where they were built, what
// vulnerabilities they have, what they are made of. It needs a host with oci/v3/verify.
package main

import (
	"strconv"
	"strings"

	"policy-server/policies-examples/imageref"
	"policy-server/policies-examples/pin"
	"policy-server/policies-examples/podspec"
	"policy-server/policies-examples/reason"
	"policy-server/sdk"
)

var settings = sdk.FromSettings(parseSettings)

func init() { sdk.Register(sdk.Policy{Validate: validate, CheckSettings: settings.Check}) }

func main() {}

func validate(r sdk.Request) sdk.Response {
	w, err := settings.Of(r.Settings())
	if err != nil {
		return sdk.Fail(err)
	}
	path := podspec.Path(r.Kind())
	if path == nil {
		return sdk.Accept()
	}
	digests, refusals := map[string]string{}, []string(nil)
	for _, image := range podspec.Images(r.Object().Get(path...)) {
		if _, done := digests[image]; done {
			continue
		}
		digest, faults := w.judge(image)
		if digests[image] = digest; len(faults) > 0 {
			refusals = append(refusals, "image "+strconv.Quote(image)+" is not accepted: "+strings.Join(faults, "; "))
		}
	}
	switch {
	case len(refusals) > 0:
		return sdk.Reject(strings.Join(refusals, "\n"))
	case !w.pin:
		return sdk.Accept()
	}
	return pin.Images(r, func(image string) string { return digests[image] })
}

// judge holds an image against every rule that means it, and returns its digest, "" when no rule
// does, and what is wrong.
func (w *wanted) judge(image string) (digest string, faults []string) {
	for i := range w.rules {
		if !imageref.Match(w.rules[i].image, image) {
			continue
		}
		found, err := sdk.VerifyImage(w.rules[i].demands(image))
		switch {
		case err != nil:
			faults = append(faults, reason.Of(err))
			continue
		case digest != "" && digest != found.Digest:
			faults = append(faults, "its digest changed between two verifications")
		}
		digest = found.Digest
		faults = append(faults, w.rules[i].judge(found.Attestations)...)
	}
	return digest, faults
}
