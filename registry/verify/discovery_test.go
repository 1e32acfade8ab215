package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
	"policy-server/registry/verify"
)

func aliceAsked(with annotations) verify.Constraint {
	return verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual(aliceSubject), Annotations: with}
}

// A failure in one place hides nothing in the other; what decides is what could be read, or that
// something could not.
func TestBothPlaces(t *testing.T) {
	authority := newAuthority(t)
	root, signer := trustRoot(t, authority), issue(t, authority, alice())
	legacy := func(t *testing.T, d name.Digest) {
		attachLayer(t, d, makeLayer(t, authority, signer, d, annotations{"in": "legacy"}, sigstoretest.How{}))
	}
	bundle := func(t *testing.T, d name.Digest) {
		attachBundle(t, d, makeBundle(t, authority, signer, d, annotations{"in": "bundle"}, sigstoretest.How{}))
	}
	const down = http.StatusInternalServerError
	cases := []struct {
		name    string
		attach  []func(*testing.T, name.Digest)
		broken  string // part of paths that answer 500
		asked   annotations
		want    any    // nil: verified
		message string // what the error says
	}{
		{"in both", []func(*testing.T, name.Digest){legacy, bundle}, "", nil, nil, ""},
		{"the one in the other place", []func(*testing.T, name.Digest){legacy, bundle}, "", annotations{"in": "bundle"}, nil, ""},
		{"legacy, referrers broken", []func(*testing.T, name.Digest){legacy}, "/referrers/", nil, nil, ""},
		{"bundle, tags broken", []func(*testing.T, name.Digest){bundle}, ".sig", nil, nil, ""},
		{"nothing", nil, "", nil, new(*verify.UnverifiedError), "no signatures found for image"},
		{"nothing, referrers broken", nil, "/referrers/", nil, new(*verify.LookupError), "500"},
		{"nothing, tags broken", nil, ".sig", nil, new(*verify.LookupError), "500"},
		{"nothing, both broken", nil, "/v2/policy", nil, new(*verify.LookupError), "500"},
		{
			"legacy does not suffice, referrers broken", []func(*testing.T, name.Digest){legacy}, "/referrers/",
			annotations{"in": "bundle"}, new(*verify.LookupError), `do not suffice: Image verification failed: missing signatures`,
		},
		{
			"bundle does not suffice, tags broken", []func(*testing.T, name.Digest){bundle}, ".sig",
			annotations{"in": "legacy"}, new(*verify.LookupError), `Annotation not satisfied: "in": want "legacy", got "bundle"`,
		},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRegistry(t, withReferrers)
			d := r.push(t)
			for _, attach := range tc.attach {
				attach(t, d)
			}
			if tc.broken != "" {
				r.answer = failing(tc.broken, down, "")
			}
			_, err := trusting(t, r, allOf(aliceAsked(tc.asked)), root).Verify(t.Context(), d)
			if tc.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !errors.As(err, tc.want) || !strings.Contains(err.Error(), tc.message) {
				t.Errorf("got %T: %v, want %T with %q", err, err, tc.want, tc.message)
			}
			var unverified *verify.UnverifiedError
			if _, lookup := tc.want.(**verify.LookupError); lookup && errors.As(err, &unverified) {
				t.Errorf("taken for the last word: %v", err)
			}
		})
	}
}

// A registry may send whoever asks on to storage, with the right to read it in the address.
func TestLookupError_withoutSecrets(t *testing.T) {
	for _, path := range []string{"/manifests/", "/referrers/", "/blobs/"} {
		t.Run(path, func(t *testing.T) {
			r, s := newRegistry(t, withReferrers), newSigner(t)
			d := r.push(t)
			sign(t, s, d, nil)
			r.answer = func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.Contains(req.URL.Path, path) {
					return false
				}
				http.Redirect(w, req, "http://alice:passw0rd@127.0.0.1:1/storage?signature=s3cr3t", http.StatusTemporaryRedirect)
				return true
			}
			_, err := newVerifier(t, r, allOf(key(t, newSigner(t), nil))).Verify(t.Context(), d)
			var lookup *verify.LookupError
			if !errors.As(err, &lookup) || !strings.Contains(err.Error(), "127.0.0.1:1/storage") {
				t.Fatalf("got %v, want a LookupError that names the storage", err)
			}
			for _, secret := range []string{"passw0rd", "s3cr3t"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q is in %v", secret, err)
				}
			}
		})
	}
}

// TestBundles holds what counts as a signature among the referrers.
func TestBundles(t *testing.T) {
	authority := newAuthority(t)
	root, signer := trustRoot(t, authority), issue(t, authority, alice())
	good := func(t *testing.T, d name.Digest) []byte {
		return must[[]byte](t)(makeBundle(t, authority, signer, d, nil, sigstoretest.How{}).Bundle())
	}
	announced := annotations{"dev.sigstore.bundle.predicateType": sigstoretest.PredicateType}
	const unsigned = "no signatures found for image"
	cases := []struct {
		name    string
		content func(*testing.T, name.Digest) []byte
		say     annotations // of the manifest
		refused string      // "": accepted
	}{
		{"announced", good, announced, ""},
		{"not announced", good, nil, ""},
		{"version 0.2", func(t *testing.T, d name.Digest) []byte {
			return bytes.Replace(good(t, d), []byte("bundle.v0.3+json"), []byte("bundle+json;version=0.2"), 1)
		}, announced, ""},
		{"version 0.1", func(t *testing.T, d name.Digest) []byte {
			return bytes.Replace(good(t, d), []byte("bundle.v0.3+json"), []byte("bundle+json;version=0.1"), 1)
		}, announced, ""},
		{"version 0.4", func(t *testing.T, d name.Digest) []byte {
			return bytes.Replace(good(t, d), []byte("bundle.v0.3+json"), []byte("bundle.v0.4+json"), 1)
		}, announced, "bundle: "},
		{"older kind of log entry", func(t *testing.T, d name.Digest) []byte {
			return must[[]byte](t)(makeBundle(t, authority, signer, d, nil, sigstoretest.How{Log: sigstoretest.RekorV1Intoto}).Bundle())
		}, announced, ""},
		{"second log", func(t *testing.T, d name.Digest) []byte {
			return must[[]byte](t)(makeBundle(t, authority, signer, d, nil, sigstoretest.How{Log: sigstoretest.RekorV2, Timestamped: true}).Bundle())
		}, announced, ""},
		{"second log without a time", func(t *testing.T, d name.Digest) []byte {
			return must[[]byte](t)(makeBundle(t, authority, signer, d, nil, sigstoretest.How{Log: sigstoretest.RekorV2}).Bundle())
		}, announced, "no proof of the signing time"},
		{"second log, proof of another entry", func(t *testing.T, d name.Digest) []byte {
			how := sigstoretest.How{Log: sigstoretest.RekorV2, Timestamped: true}
			s := makeBundle(t, authority, signer, d, nil, how)
			s.Entry = makeBundle(t, authority, signer, d, annotations{"a": "b"}, how).Entry
			return must[[]byte](t)(s.Bundle())
		}, announced, "not in transparency log"},
		{"over the manifest, without envelope", func(t *testing.T, d name.Digest) []byte {
			manifest := must[*remote.Descriptor](t)(remote.Get(d)).Manifest
			return must[[]byte](t)(must[*sigstoretest.Signature](t)(authority.SignPayload(signer, manifest, sigstoretest.How{})).Bundle())
		}, nil, ""},
		{"over another manifest, without envelope", func(t *testing.T, _ name.Digest) []byte {
			return must[[]byte](t)(must[*sigstoretest.Signature](t)(authority.SignPayload(signer, []byte("{}"), sigstoretest.How{})).Bundle())
		}, nil, "payload is for another digest"},
		{"attestation, announced", good, annotations{"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}, unsigned},
		{"attestation, not announced", func(t *testing.T, d name.Digest) []byte { return attestation(t, authority, d) }, nil, unsigned},
		{"proof damaged", func(t *testing.T, d name.Digest) []byte {
			s := makeBundle(t, authority, signer, d, nil, sigstoretest.How{})
			s.Entry.InclusionProof.Hashes[0][0] ^= 1
			return must[[]byte](t)(s.Bundle())
		}, announced, "not in transparency log"},
		{"proof missing", func(t *testing.T, d name.Digest) []byte {
			s := makeBundle(t, authority, signer, d, nil, sigstoretest.How{})
			s.Entry.InclusionProof = nil
			return must[[]byte](t)(s.Bundle())
		}, announced, "inclusion proof missing in bundle"},
		{"proof without promise: no time", func(t *testing.T, d name.Digest) []byte {
			s := makeBundle(t, authority, signer, d, nil, sigstoretest.How{})
			s.Entry.InclusionPromise = nil
			return must[[]byte](t)(s.Bundle())
		}, announced, "no proof of the signing time"},
		{"not JSON", func(*testing.T, name.Digest) []byte { return []byte("hello") }, announced, "bundle: "},
		{"too large", func(*testing.T, name.Digest) []byte { return bytes.Repeat([]byte(" "), 1<<20+1) }, announced, "bundle of 1048577 bytes, more than the limit of 1048576"},
	}
	for _, r := range []*registryServer{newRegistry(t), newRegistry(t, withReferrers)} {
		for _, tc := range cases {
			t.Run(tc.name, func(t *testing.T) {
				d := r.push(t)
				if err := sigstoretest.AttachReferrer(t.Context(), d, tc.content(t, d), tc.say); err != nil {
					t.Fatal(err)
				}
				_, err := trusting(t, r, allOf(aliceAsked(nil)), root).Verify(t.Context(), d)
				if tc.refused == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var unverified *verify.UnverifiedError
				if !errors.As(err, &unverified) || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("got %v, want an UnverifiedError with %q", err, tc.refused)
				}
				attachBundle(t, d, makeBundle(t, authority, signer, d, nil, sigstoretest.How{}))
				if _, err := trusting(t, r, allOf(aliceAsked(nil)), root).Verify(t.Context(), d); err != nil {
					t.Errorf("beside a good one: %v", err)
				}
			})
		}
	}
}

// Annotations of a legacy layer are anybody's: whatever they hold is a reason, and never more than
// that.
func TestLayerAnnotations(t *testing.T) {
	authority := newAuthority(t)
	root, signer := trustRoot(t, authority), issue(t, authority, alice())
	cases := []struct{ name, key, value, refused string }{
		{"nothing changed", "", "", ""},
		{"chain is not looked at", static.ChainAnnotationKey, "hello", ""},
		{"certificate empty", static.CertificateAnnotationKey, "", "not keyless: no certificate"},
		{"certificate that is none", static.CertificateAnnotationKey, "hello", "no PEM block"},
		{"certificate that is a key", static.CertificateAnnotationKey, string(signer.Signer.PublicKeyPEM()), "x509: malformed"},
		{"log entry is no JSON", static.BundleAnnotationKey, "hello", "not in transparency log: annotation"},
		{"log entry null", static.BundleAnnotationKey, "null", "body: want a string"},
		{"log entry with a number for a body", static.BundleAnnotationKey, `{"Payload":{"body":7}}`, "body: want a string"},
		{"log entry without promise", static.BundleAnnotationKey, `{"Payload":{"body":"e30="}}`, "SignedEntryTimestamp: missing"},
		{"log entry of another kind", static.BundleAnnotationKey, `{"SignedEntryTimestamp":"AA==","Payload":{"body":"eyJraW5kIjoicmVrb3JkIn0="}}`, `entry of kind "rekord"`},
		{"timestamp that is none", static.RFC3161TimestampAnnotationKey, `{"SignedRFC3161Timestamp":"AA=="}`, ""},
		{"timestamp null", static.RFC3161TimestampAnnotationKey, `null`, ""},
	}
	r := newRegistry(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := r.push(t)
			attachLayer(t, d, makeLayer(t, authority, signer, d, nil, sigstoretest.How{}))
			if tc.key != "" {
				edit(t, r, d, func(m *v1.Manifest) { m.Layers[0].Annotations[tc.key] = tc.value })
			}
			_, err := trusting(t, r, allOf(aliceAsked(nil)), root).Verify(t.Context(), d)
			if reason := reasonOf(t, err); tc.refused == "" && reason != nil || tc.refused != "" && (reason == nil || !strings.Contains(reason.Error(), tc.refused)) {
				t.Errorf("got %v, want %q", reason, tc.refused)
			}
		})
	}
}

func TestReferrersLimits(t *testing.T) {
	authority := newAuthority(t)
	v := func(r *registryServer) *verify.Verifier {
		return trusting(t, r, allOf(aliceAsked(nil)), trustRoot(t, authority))
	}
	index := func(n int) string {
		entry := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:` + strings.Repeat("0", 64) + `"}`
		return `{"schemaVersion":2,"manifests":[` + strings.TrimSuffix(strings.Repeat(entry+",", n), ",") + `]}`
	}
	cases := []struct{ name, body, want string }{
		{"too many referrers", index(513), "513 entries, more than the limit of 512"},
		{"listed and gone", index(3), "no signatures found for image"},
		{"not an index", `[]`, "cannot unmarshal"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRegistry(t)
			d := r.push(t)
			r.answer = func(w http.ResponseWriter, req *http.Request) bool {
				if !strings.Contains(req.URL.Path, "/referrers/") {
					return false
				}
				w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
				_, _ = io.WriteString(w, tc.body)
				return true
			}
			if _, err := v(r).Verify(t.Context(), d); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("too many signatures", func(t *testing.T) {
		r := newRegistry(t, withReferrers)
		d := r.push(t)
		for i := range 65 {
			if err := sigstoretest.AttachBundle(t.Context(), d, fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := v(r).Verify(t.Context(), d); err == nil || !strings.Contains(err.Error(), "more than the limit of 64 signatures") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("too many bundles in one referrer", func(t *testing.T) {
		r := newRegistry(t, withReferrers)
		d := r.push(t)
		said := attestation(t, authority, d)
		if err := sigstoretest.AttachReferrer(t.Context(), d, said, nil); err != nil { // puts the blob there
			t.Fatal(err)
		}
		layer := fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q}`, sigstoretest.BundleType, len(said), hashOf(t, said).String())
		many := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s],"subject":{"mediaType":%[1]q,"size":1,"digest":%[4]q}}`,
			types.OCIManifestSchema1, layer, strings.TrimSuffix(strings.Repeat(layer+",", 2000), ","), d.DigestStr())
		if err := remote.Put(d.Context().Digest(hashOf(t, many).String()), manifest{types.OCIManifestSchema1, many}); err != nil {
			t.Fatal(err)
		}
		var read atomic.Int64
		r.answer = func(_ http.ResponseWriter, req *http.Request) bool {
			if strings.Contains(req.URL.Path, "/blobs/") {
				read.Add(1)
			}
			return false
		}
		_, err := v(r).Verify(t.Context(), d)
		if err == nil || !strings.Contains(err.Error(), "more than the limit of 512 bundles") || read.Load() > 512 {
			t.Errorf("%d bundles read, got %v", read.Load(), err)
		}
	})
}

// attestation returns a bundle about d that is no signature.
func attestation(t *testing.T, authority *sigstoretest.Authority, d name.Digest) []byte {
	t.Helper()
	hash := must[v1.Hash](t)(v1.NewHash(d.DigestStr()))
	statement := bytes.Replace(must[[]byte](t)(sigstoretest.Statement(hash, nil)),
		[]byte(sigstoretest.PredicateType), []byte("https://slsa.dev/provenance/v1"), 1)
	signer := issue(t, authority, alice())
	return must[[]byte](t)(must[*sigstoretest.Signature](t)(authority.SignStatement(signer, statement, sigstoretest.How{})).Bundle())
}

// TestReferrersAPI holds that a registry without the referrers API, in whatever words it says so,
// has the signatures that it has, and that a refusal is no such word.
func TestReferrersAPI(t *testing.T) {
	authority := newAuthority(t)
	root, signer := trustRoot(t, authority), issue(t, authority, alice())
	const html = "<html><body>Nothing here</body></html>"
	for _, c := range []struct {
		name     string
		fragment string // of the paths answered so
		status   int
		body     string
		lacks    bool
	}{
		{"404", "/referrers/", http.StatusNotFound, `{"errors":[{"code":"NOT_FOUND"}]}`, true},
		{"404 for browsers", "/referrers/", http.StatusNotFound, html, true},
		{"200 for browsers", "/referrers/", http.StatusOK, html, true},
		{"400", "/referrers/", http.StatusBadRequest, "", true},
		{"406", "/referrers/", http.StatusNotAcceptable, "", true},
		{"405", "/referrers/", http.StatusMethodNotAllowed, `{"errors":[{"code":"UNSUPPORTED"}]}`, true},
		{"501", "/referrers/", http.StatusNotImplemented, html, true},
		{"401", "/referrers/", http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED"}]}`, true},
		{"403", "/referrers/", http.StatusForbidden, `{"errors":[{"code":"DENIED"}]}`, false},
		{"401 for everything", "/policy/", http.StatusUnauthorized, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegistry(t)
			legacy, bundle, unsigned := r.push(t), r.push(t), r.push(t)
			attachLayer(t, legacy, makeLayer(t, authority, signer, legacy, nil, sigstoretest.How{}))
			attachBundle(t, bundle, makeBundle(t, authority, signer, bundle, nil, sigstoretest.How{}))
			r.answer = failing(c.fragment, c.status, c.body)
			check := func(d name.Digest) error {
				_, err := trusting(t, r, allOf(aliceAsked(nil)), root).Verify(t.Context(), d)
				return err
			}
			if err := check(legacy); err != nil && c.fragment == "/referrers/" {
				t.Errorf("legacy: %v", err)
			}
			var lookup *verify.LookupError
			if err := check(bundle); c.lacks && err != nil || !c.lacks && !errors.As(err, &lookup) {
				t.Errorf("bundle: %v", err)
			}
			var none *verify.UnverifiedError
			if err := check(unsigned); c.lacks && !errors.As(err, &none) || !c.lacks && !errors.As(err, &lookup) {
				t.Errorf("unsigned: %v", err)
			}
		})
	}
}

// TestSilentPlace holds that a place which never answers delays nobody whose signature lies in the
// other.
func TestSilentPlace(t *testing.T) {
	authority := newAuthority(t)
	root, signer := trustRoot(t, authority), issue(t, authority, alice())
	for _, silent := range []string{"/referrers/", ".sig"} {
		t.Run(silent, func(t *testing.T) {
			r := newRegistry(t, withReferrers)
			d := r.push(t)
			if silent == ".sig" {
				attachBundle(t, d, makeBundle(t, authority, signer, d, nil, sigstoretest.How{}))
			} else {
				attachLayer(t, d, makeLayer(t, authority, signer, d, nil, sigstoretest.How{}))
			}
			t.Parallel() // from here on: an Authority signs for one at a time
			r.answer = func(_ http.ResponseWriter, req *http.Request) bool {
				if !strings.Contains(req.URL.Path, silent) {
					return false
				}
				<-req.Context().Done()
				return true
			}
			if _, err := trusting(t, r, allOf(aliceAsked(nil)), root).Verify(t.Context(), d); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSlowPlace holds that a place which takes its time is waited for when the other one does not
// suffice.
func TestSlowPlace(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	signer := issue(t, authority, alice())
	r := newRegistry(t, withReferrers)
	d := r.push(t)
	attachLayer(t, d, makeLayer(t, authority, signer, d, nil, sigstoretest.How{}))
	attachBundle(t, d, makeBundle(t, authority, signer, d, annotations{"env": "prod"}, sigstoretest.How{}))
	r.answer = func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/referrers/") {
			time.Sleep(3 * time.Second) // longer than a place that is not needed is waited for
		}
		return false
	}
	v := trusting(t, r, allOf(aliceAsked(annotations{"env": "prod"})), trustRoot(t, authority))
	if _, err := v.Verify(t.Context(), d); err != nil {
		t.Error(err)
	}
}

// Who attaches a signature does not choose how long the operator's log line is.
func TestRejections_short(t *testing.T) {
	authority := newAuthority(t)
	r := newRegistry(t, withReferrers)
	d := r.push(t)
	s := makeBundle(t, authority, issue(t, authority, alice()), d, nil, sigstoretest.How{})
	s.Entry.LogId.KeyId = bytes.Repeat([]byte("long"), 100<<10)
	attachBundle(t, d, s)
	_, err := trusting(t, r, allOf(aliceAsked(nil)), trustRoot(t, authority)).Verify(t.Context(), d)
	if text := fmt.Sprint(err); !strings.Contains(text, "not in transparency log: log 6c6f6e67") || len(text) > 2000 {
		t.Errorf("%d bytes: %.500s", len(text), text)
	}
}

func TestList(t *testing.T) {
	authority := newAuthority(t)
	r := newRegistry(t)
	d := r.push(t)
	workflow := issue(t, authority, sigstoretest.Workflow("alice/policy"))
	attachLayer(t, d, makeLayer(t, authority, issue(t, authority, alice()), d, annotations{"env": "prod"}, sigstoretest.How{}))
	attachBundle(t, d, makeBundle(t, newAuthority(t), workflow, d, nil, sigstoretest.How{})) // logged where nobody trusts
	sign(t, newSigner(t), d, nil)
	list, err := verify.List(t.Context(), d, r.options(t.Context()))
	if err != nil || len(list) != 3 {
		t.Fatalf("got %v, %v", list, err)
	}
	person, key, run := list[0], list[1], list[2]
	if person.Layout != evidence.LayoutLegacy || person.Keyless.Subject != aliceSubject || person.Annotations["env"] != "prod" {
		t.Errorf("got %+v", person)
	}
	if key.Keyless != nil || key.Log != nil || key.Unusable != nil {
		t.Errorf("got %+v", key)
	}
	if run.Layout != evidence.LayoutBundle || run.Keyless.GitHub.Repository != "alice/policy" || run.Log.Index < 1000 {
		t.Errorf("got %+v", run)
	}
	r.answer = failing("/referrers/", http.StatusInternalServerError, "")
	var lookup *verify.LookupError
	if list, err := verify.List(t.Context(), d, r.options(t.Context())); len(list) != 2 || !errors.As(err, &lookup) {
		t.Errorf("with one place broken: got %v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.List(ctx, d, r.options(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// What is signed must say the same to all who read it: neither the first nor the last of two
// members counts.
func TestAmbiguousDocuments(t *testing.T) {
	const good, bad, sign, slsa = "GOOD", "BAD", sigstoretest.PredicateType, "https://slsa.dev/provenance/v1"
	image := func(name, digest string) string {
		return fmt.Sprintf(`%q:{"docker-manifest-digest":"sha256:%s"}`, name, digest)
	}
	statement := func(more string) string {
		return `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + good + `"},"annotations":{"env":"a","Env":"b"}}],` + more + `}`
	}
	cases := []struct {
		name, document string
		bundle, fits   bool
	}{
		{"payload", `{"critical":{` + image("image", good) + `},"optional":{"env":"a","Env":"b"}}`, false, true},
		{"two images", `{"critical":{` + image("image", bad) + `,` + image("image", good) + `}}`, false, false},
		{"two images but for case", `{"critical":{` + image("image", bad) + `,` + image("Image", good) + `}}`, false, false},
		{"two criticals", `{"critical":{` + image("image", bad) + `},"Critical":{` + image("image", good) + `}}`, false, false},
		{"one annotation twice", `{"critical":{` + image("image", good) + `},"optional":{"env":"a","env":"b"}}`, false, false},
		{"statement", statement(`"predicateType":"` + sign + `","predicate":{"a":1,"A":2}`), true, true},
		{"attestation and signature", statement(`"predicateType":"` + slsa + `","predicateType":"` + sign + `"`), true, false},
		{"attestation and signature but for case", statement(`"predicateType":"` + slsa + `","PredicateType":"` + sign + `"`), true, false},
		{"two subjects but for the letter s", statement(`"predicateType":"` + sign + `","\u017fubject":[]`), true, false},
	}
	r, authority := newRegistry(t, withReferrers), newAuthority(t)
	signer := issue(t, authority, alice())
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := r.push(t)
			hex := strings.TrimPrefix(d.DigestStr(), "sha256:")
			document := strings.NewReplacer(good, hex, bad, strings.Repeat("0", 64)).Replace(tc.document)
			if tc.bundle {
				attachBundle(t, d, must[*sigstoretest.Signature](t)(authority.SignStatement(signer, []byte(document), sigstoretest.How{})))
			} else {
				attachLayer(t, d, must[*sigstoretest.Signature](t)(authority.SignPayload(signer, []byte(document), sigstoretest.How{})))
			}
			for _, asked := range []verify.Constraint{aliceAsked(nil), keyOf(t, signer, nil)} {
				_, err := trusting(t, r, allOf(asked), trustRoot(t, authority)).Verify(t.Context(), d)
				if reason := reasonOf(t, err); tc.fits != (reason == nil) || !tc.fits && !strings.Contains(reason.Error(), "more than one member") {
					t.Errorf("%T: got %v", asked, reason)
				}
			}
		})
	}
}
