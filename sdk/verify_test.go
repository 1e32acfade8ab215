package sdk_test

import (
	"errors"
	"testing"

	"policy-server/sdk"
)

func TestVerify(t *testing.T) {
	alice := sdk.KeylessInfo{Issuer: "https://accounts.example.com", Subject: "alice@example.com"}
	acme := sdk.KeylessPrefixInfo{Issuer: "https://accounts.example.com", URLPrefix: "https://github.com/acme"}
	for name, c := range map[string]struct {
		call func() (string, error)
		want string
	}{
		"keys, v1":       {func() (string, error) { return sdk.VerifyPubKeys("app:1", []string{"k\n"}, nil) }, `v1/verify {"SigstorePubKeyVerify":{"image":"app:1","pub_keys":["k\n"],"annotations":null}}`},
		"identities, v1": {func() (string, error) { return sdk.VerifyKeyless("app:1", []sdk.KeylessInfo{alice}, nil) }, `v1/verify {"SigstoreKeylessVerify":{"image":"app:1","keyless":[{"issuer":"https://accounts.example.com","subject":"alice@example.com"}],"annotations":null}}`},
		"keys": {func() (string, error) {
			return sdk.VerifyPubKeysImage("app:1", []string{"a", "b"}, map[string]string{"z": "1", "env": "prod"})
		}, `v2/verify {"type":"SigstorePubKeyVerify","image":"app:1","pub_keys":["a","b"],"annotations":{"env":"prod","z":"1"}}`},
		"no keys":    {func() (string, error) { return sdk.VerifyPubKeysImage("app:1", nil, map[string]string{}) }, `v2/verify {"type":"SigstorePubKeyVerify","image":"app:1","pub_keys":[],"annotations":{}}`},
		"identities": {func() (string, error) { return sdk.VerifyKeylessExactMatch("app:1", []sdk.KeylessInfo{alice}, nil) }, `v2/verify {"type":"SigstoreKeylessVerify","image":"app:1","keyless":[{"issuer":"https://accounts.example.com","subject":"alice@example.com"}],"annotations":null}`},
		"prefixes": {func() (string, error) {
			return sdk.VerifyKeylessPrefixMatch("app:1", []sdk.KeylessPrefixInfo{acme}, nil)
		}, `v2/verify {"type":"SigstoreKeylessPrefixVerify","image":"app:1","keyless_prefix":[{"issuer":"https://accounts.example.com","url_prefix":"https://github.com/acme"}],"annotations":null}`},
		"owner":          {func() (string, error) { return sdk.VerifyKeylessGithubActions("app:1", "acme", "", nil) }, `v2/verify {"type":"SigstoreGithubActionsVerify","image":"app:1","owner":"acme","annotations":null}`},
		"owner and repo": {func() (string, error) { return sdk.VerifyKeylessGithubActions("app:1", "acme", "app", nil) }, `v2/verify {"type":"SigstoreGithubActionsVerify","image":"app:1","owner":"acme","repo":"app","annotations":null}`},
		"certificate": {func() (string, error) {
			return sdk.VerifyCertificate("app:1", sdk.CertificateInfo{Certificate: []byte("-B\xff")}, nil)
		}, `v2/verify {"type":"SigstoreCertificateVerify","image":"app:1","certificate":[45,66,255],"require_rekor_bundle":false,"annotations":null}`},
		"certificate, chain": {func() (string, error) {
			return sdk.VerifyCertificate("app:1", sdk.CertificateInfo{Certificate: []byte("-"), Chain: [][]byte{{1}, {2, 3}}, RequireRekorBundle: true}, nil)
		}, `v2/verify {"type":"SigstoreCertificateVerify","image":"app:1","certificate":[45],"certificate_chain":[[1],[2,3]],"require_rekor_bundle":true,"annotations":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			asked := ""
			host := func(namespace, operation, payload string) (string, error) {
				asked = operation + " " + payload
				return `{"is_trusted":true,"digest":"sha256:12"}`, nil
			}
			during(t, host, func() {
				if digest, err := c.call(); digest != "sha256:12" || err != nil {
					t.Errorf("digest %q, error %v", digest, err)
				}
			})
			if asked != c.want || !sdk.JSON(asked[len("v2/verify "):]).Exists() {
				t.Errorf("asked\n%s, expected\n%s", asked, c.want)
			}
		})
	}
}

func TestVerify_refused(t *testing.T) {
	refusal := errors.New("Callback evaluation failure: no signatures found for image: app:1 ")
	for name, c := range map[string]struct {
		answer string
		err    error
	}{
		"by the host":    {"", refusal},
		"as a value":     {`{"is_trusted":false,"digest":"sha256:12"}`, nil},
		"without digest": {`{"is_trusted":true}`, nil},
		"as text":        {`{"is_trusted":"true","digest":"sha256:12"}`, nil},
		"with nothing":   {``, nil},
	} {
		t.Run(name, func(t *testing.T) {
			host := func(string, string, string) (string, error) { return c.answer, c.err }
			during(t, host, func() {
				digest, err := sdk.VerifyPubKeysImage("app:1", []string{"k"}, nil)
				if digest != "" || err == nil {
					t.Errorf("digest %q, error %v", digest, err)
				}
				var refused *sdk.HostError
				if errors.As(err, &refused) != (c.err != nil) {
					t.Errorf("error is %v", err)
				}
				if found, err := sdk.VerifyImage(sdk.ImageDemands{Image: "app:1"}); found.Digest != "" || err == nil {
					t.Errorf("version 3: %+v, error %v", found, err)
				}
			})
		})
	}
}

func TestVerifyImage(t *testing.T) {
	const answer = `{"is_trusted":true,"digest":"sha256:12","signatures":[
		{"constraint":1,"layout":"bundle","issuer":"i","subject":"s","github":{"repository":"acme/app"},"annotations":{"env":"prod"},"logIndex":98,"signedAt":"2026-03-01T12:00:00Z"}],
		"attestations":[{"demand":0,"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{}},
		"signers":[{"constraint":0,"layout":"legacy","key":"sha256:ab","annotations":{}}]}]}`
	asked := ""
	host := func(namespace, operation, payload string) (string, error) {
		asked = namespace + "/" + operation + " " + payload
		return answer, nil
	}
	during(t, host, func() {
		found, err := sdk.VerifyImage(sdk.ImageDemands{
			Image: "app:1",
			Signatures: sdk.SignerDemand{Required: 2, AnyOf: []sdk.SignerConstraint{
				sdk.SignedByKey("k").WithAnnotations(map[string]string{"env": "prod"}),
				sdk.SignedByIdentity(sdk.KeylessInfo{Issuer: "i", Subject: "s"}),
				sdk.SignedByPrefix(sdk.KeylessPrefixInfo{Issuer: "i", URLPrefix: "u"}),
				sdk.SignedByMatch("i", "a.*"),
				sdk.SignedByGithubAction("acme", "app"),
				sdk.SignedByCertificate(sdk.CertificateInfo{Certificate: []byte("c"), Chain: [][]byte{[]byte("d")}, RequireRekorBundle: true}),
			}},
			Attestations: []sdk.AttestationDemand{{
				PredicateType: "https://slsa.dev/provenance/v1",
				By:            sdk.SignerDemand{AnyOf: []sdk.SignerConstraint{sdk.SignedByGithubAction("acme", "")}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if found.Digest != "sha256:12" || len(found.Signatures) != 1 || len(found.Attestations) != 1 {
			t.Fatalf("found %+v", found)
		}
		signer := found.Signatures[0]
		if signer.Constraint != 1 || signer.Layout != "bundle" || signer.Issuer != "i" || signer.Subject != "s" || signer.Key != "" ||
			signer.SignedAt != "2026-03-01T12:00:00Z" || signer.Annotations["env"] != "prod" || !signer.GitHub.Get("repository").Is("acme/app") {
			t.Errorf("signer %+v", signer)
		}
		a := found.Attestations[0]
		if a.Demand != 0 || a.PredicateType != "https://slsa.dev/provenance/v1" || !a.Predicate.Get("buildDefinition").Exists() ||
			len(a.Signers) != 1 || a.Signers[0].Key != "sha256:ab" || a.Signers[0].GitHub.Exists() {
			t.Errorf("attestation %+v", a)
		}
	})
	const want = `oci/v3/verify {"image":"app:1","signatures":{"required":2,"anyOf":[` +
		`{"kind":"pubKey","key":"k","annotations":{"env":"prod"}},` +
		`{"kind":"genericIssuer","issuer":"i","subject":{"equal":"s"}},` +
		`{"kind":"genericIssuer","issuer":"i","subject":{"urlPrefix":"u"}},` +
		`{"kind":"genericIssuer","issuer":"i","subject":{"regex":"a.*"}},` +
		`{"kind":"githubAction","owner":"acme","repo":"app"},` +
		`{"kind":"certificate","certificate":"c","certificateChain":"d\n","requireRekorBundle":true}]},` +
		`"attestations":[{"predicateType":"https://slsa.dev/provenance/v1","anyOf":[{"kind":"githubAction","owner":"acme"}]}]}`
	if asked != want {
		t.Errorf("asked\n%s, expected\n%s", asked, want)
	}
}
