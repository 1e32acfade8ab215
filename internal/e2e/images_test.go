package e2e

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/internal/testing/sigstoretest"
)

type object map[string]any

// TestVerifyImageSignatures serves the example and has it look at really signed images, in either
// layout, with each kind of signer.
func TestVerifyImageSignatures(t *testing.T) {
	g := newGallery(t)
	key := g.key()
	workflow := g.issue(sigstoretest.Workflow("acme/app"))
	alice := g.issue(sigstoretest.Identity{Email: "alice@acme.example", Issuer: "https://accounts.example"})
	certified := g.issue(sigstoretest.Identity{Email: "release@acme.example", Issuer: "https://accounts.example", Lifetime: 24 * time.Hour})
	bare := certified
	bare.Certificate = nil

	digests := map[string]name.Digest{}
	for _, c := range []struct {
		repository string
		by         []sigstoretest.Credential
	}{
		{"keyed/app", []sigstoretest.Credential{key}},
		{"built/app", []sigstoretest.Credential{workflow}},
		{"alices/app", []sigstoretest.Credential{alice}},
		{"certified/app", []sigstoretest.Credential{bare}},
		{"keyed/and/built/app", []sigstoretest.Credential{key, workflow}},
		{"keyed/by-another", []sigstoretest.Credential{g.key(), workflow}},
		{"keyed/unsigned", nil},
		{"built/elsewhere", []sigstoretest.Credential{g.issue(sigstoretest.Workflow("mallory/app")), key}},
		{"alices/imitated", []sigstoretest.Credential{g.issue(sigstoretest.Identity{Email: "alice@acme.example", Issuer: "https://accounts.mallory.example"})}},
		{"anything", nil},
	} {
		for _, where := range []layout{inTags, inBundles} {
			repository := c.repository + "-in-" + string(where)
			digests[repository] = g.push(repository)
			for _, by := range c.by {
				g.sign(digests[repository], where, by)
			}
		}
	}

	var chain []string
	for _, issuer := range g.authority.Chain() {
		chain = append(chain, certificatePEM(issuer.Raw))
	}
	s := g.serves("verify-image-signatures", object{"signatures": []object{
		{"image": g.host + "/keyed/*", "pubKeys": []string{string(key.Signer.PublicKeyPEM())}},
		{"image": g.host + "/*built/*", "githubActions": object{"owner": "acme", "repo": "app"}},
		{"image": g.host + "/built/*", "keylessPrefix": []object{{"issuer": sigstoretest.GitHubIssuer, "url_prefix": "https://github.com/acme"}}},
		{"image": g.host + "/alices/*", "keyless": []object{{"issuer": "https://accounts.example", "subject": "alice@acme.example"}}},
		{"image": g.host + "/certified/*", "certificates": []string{certificatePEM(certified.Certificate.Raw)}, "certificateChain": chain, "requireRekorBundle": false},
	}}, "oci/v2/verify", "crypto/v1/is_certificate_trusted")

	const missing = "failed: Callback evaluation failure: Image verification failed: missing signatures\nThe following constraints were not satisfied:\nkind: "
	for repository, refusal := range map[string]string{
		"keyed/app": "", "built/app": "", "alices/app": "", "certified/app": "", "keyed/and/built/app": "",
		"keyed/by-another": missing + "pubKey",
		"keyed/unsigned":   "failed: Callback evaluation failure: no signatures found for image: ",
		"built/elsewhere":  missing + "githubAction",
		"alices/imitated":  missing + "genericIssuer",
		"anything":         "nothing asks for its signature",
	} {
		for _, where := range []layout{inTags, inBundles} {
			repository := repository + "-in-" + string(where)
			t.Run(repository, func(t *testing.T) {
				image := g.image(repository)
				mutated, message := runs(t, s, "verify-image-signatures", image)
				switch {
				case strings.HasPrefix(repository, "anything"):
					if mutated != image {
						t.Errorf("image is %q, refused because %q; want it as it was", mutated, message)
					}
				case refusal == "":
					if want := image + "@" + digests[repository].DigestStr(); mutated != want {
						t.Errorf("image is %q, refused because %q; want %q", mutated, message, want)
					}
				case !strings.HasPrefix(message, "Resource web is not accepted: verification of image "+image+" ") || !strings.Contains(message, refusal):
					t.Errorf("image is %q, refused because %q; want %q", mutated, message, refusal)
				}
			})
		}
	}
	s.stop(t)
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestVerifyImageSignatures_notGranted holds that a policy without the capability refuses, and that
// nobody is asked.
func TestVerifyImageSignatures_notGranted(t *testing.T) {
	g := newGallery(t)
	key := g.key()
	g.sign(g.push("app"), inTags, key)
	s := g.serves("verify-image-signatures", object{"signatures": []object{{"image": "*", "pubKeys": []string{string(key.Signer.PublicKeyPEM())}}}})
	_, message := runs(t, s, "verify-image-signatures", g.image("app"))
	if want := "Policy has not been granted access to the 'oci/v2/verify' host capability."; !strings.Contains(message, want) {
		t.Errorf("refused because %q, want %q", message, want)
	}
	s.stop(t)
}
