package oci

import (
	"encoding/json"
	"testing"

	"policy-server/hostcalls"
	"policy-server/registry/verify"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"SigstorePubKeyVerify":{"image":"ghcr.io/acme/app:1","pub_keys":["-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQiTy5S+2JFvVlhUwWPLziM7iTM2j\nbyLgh2IjpNQN0Uio/9pZOTP/CsJmXoUNshfpTUHd3OxgHgz/6adtf2nBwQ==\n-----END PUBLIC KEY-----"],"annotations":null}}`,
		`{"SigstoreKeylessVerify":{"image":"ghcr.io/acme/app:1","keyless":[{"issuer":"https://github.com/login/oauth","subject":"me@acme.com"}],"annotations":{"env":"prod"}}}`,
		`{"type":"SigstoreKeylessPrefixVerify","image":"a","keyless_prefix":[{"issuer":"i","url_prefix":"https://github.com/acme"}]}`,
		`{"type":"SigstoreGithubActionsVerify","image":"ghcr.io/acme/app:1","owner":"acme","repo":"app","annotations":null}`,
		`{"type":"SigstoreCertificateVerify","image":"ghcr.io/acme/app:1","certificate":[45,45],"certificate_chain":[[45,45]],"require_rekor_bundle":true}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for version, decode := range map[int]func([]byte) (request, error){1: decodeV1, 2: decodeV2} {
			r, err := decode(payload)
			if err != nil {
				continue
			}
			if len(r.constraints) == 0 || len(r.canonical) != len(r.constraints) {
				t.Fatalf("version %d: %d constraints, %d of them for the cache", version, len(r.constraints), len(r.canonical))
			}
			if again, err := decode(payload); err != nil || again.identity() != r.identity() {
				t.Fatalf("version %d: decoded twice, different: %v", version, err)
			}
			_, _ = verify.New(verify.Config{AllOf: r.constraints}, verify.Options{})
		}
	})
}

func FuzzDecodeV3(f *testing.F) {
	for _, seed := range []string{
		`{"image":"ghcr.io/acme/app:1","signatures":{"required":2,"anyOf":[{"kind":"githubAction","owner":"acme"},{"kind":"genericIssuer","issuer":"i","subject":{"regex":"a.*"}}]}}`,
		`{"image":"a","attestations":[{"predicateType":"https://slsa.dev/provenance/v1","anyOf":[{"kind":"githubAction","owner":"acme","annotations":{"a":"b"}}]}]}`,
		`{"image":"a","signatures":{"anyOf":[{"kind":"certificate","certificate":"-----BEGIN CERTIFICATE-----\n","requireRekorBundle":false}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := decodeV3(payload)
		if err != nil {
			return
		}
		if r.demands.Signatures == nil && len(r.demands.Attestations) == 0 {
			t.Fatal("nothing is asked for")
		}
		if again, err := decodeV3(payload); err != nil || again.identity != r.identity {
			t.Fatalf("decoded twice, different: %v", err)
		}
	})
}

func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{
		"busybox", "registry://busybox:1", "test.com:5000", "localhost:5000/psp", "ghcr.io/a/b:tag", "a.io/b",
		"r.io/p:v1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, image string) {
		parsed, err := parseReference(image)
		if err != nil {
			return
		}
		again, err := parseReference(parsed.resolved)
		if err != nil || again.resolved != parsed.resolved {
			t.Fatalf("%q is %q, which is %q, %v", image, parsed.resolved, again.resolved, err)
		}
	})
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte("[0,45,255]"))
	f.Add([]byte("[-1]"))
	f.Add([]byte(`"LS0t"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var got hostcalls.Bytes
		if json.Unmarshal(text, &got) != nil {
			return
		}
		var want []uint16
		if err := json.Unmarshal(text, &want); err != nil || len(want) != len(got) {
			t.Fatalf("%s is %v, and as numbers %v, %v", text, got, want, err)
		}
		for i := range want {
			if want[i] != uint16(got[i]) {
				t.Fatalf("%s is %v, and as numbers %v", text, got, want)
			}
		}
	})
}

func TestParseReference(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]string{
		"busybox":                       "docker.io/library/busybox:latest",
		"busybox:1":                     "docker.io/library/busybox:1",
		"opensuse/leap:15.3":            "docker.io/opensuse/leap:15.3",
		"index.docker.io/acme/app":      "docker.io/acme/app:latest",
		"localhost:5000/psp":            "localhost:5000/psp:latest",
		"test.com:5000":                 "docker.io/library/test.com:5000",
		"registry://ghcr.io/acme/app:1": "ghcr.io/acme/app:1",
		"r.io/p" + digest:               "r.io/p" + digest,
		"r.io/p:v1" + digest:            "r.io/p:v1" + digest,
	} {
		if got, err := parseReference(image); err != nil || got.resolved != want {
			t.Errorf("%s is %s, %v; want %s", image, got.resolved, err, want)
		}
	}
}
