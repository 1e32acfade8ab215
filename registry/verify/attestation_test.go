package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	blob "github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// The predicate types of attestations in use, and a document of each.
const (
	slsaType  = "https://slsa.dev/provenance/v1"
	spdxType  = "https://spdx.dev/Document"
	cycloType = "https://cyclonedx.org/bom"
	vulnType  = "https://cosign.sigstore.dev/attestation/vuln/v1"
)

func predicates() map[string]string {
	return map[string]string{slsaType: "slsa", spdxType: "spdx", cycloType: "cyclonedx", vulnType: "vuln"}
}

// predicate returns the document of a type, on one line.
func predicate(t testing.TB, predicateType string) []byte {
	t.Helper()
	text := must[[]byte](t)(os.ReadFile(filepath.Join("testdata/predicates", predicates()[predicateType]+".json")))
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return must[[]byte](t)(json.Marshal(document))
}

// attestationLayouts attach attestations in each layout.
func attestationLayouts() map[evidence.Layout]func(testing.TB, name.Digest, *sigstoretest.Signature, string) {
	return map[evidence.Layout]func(testing.TB, name.Digest, *sigstoretest.Signature, string){
		evidence.LayoutLegacy: attestLegacy, evidence.LayoutBundle: attestBundle,
	}
}

func attestLegacy(t testing.TB, d name.Digest, s *sigstoretest.Signature, announced string) {
	t.Helper()
	layer, err := s.EnvelopeLayer(announced)
	if err != nil {
		t.Fatal(err)
	}
	if err := sigstoretest.AttachAttestation(t.Context(), d, layer); err != nil {
		t.Fatal(err)
	}
}

func attestBundle(t testing.TB, d name.Digest, s *sigstoretest.Signature, announced string) {
	t.Helper()
	announcement := map[string]string{"dev.sigstore.bundle.predicateType": announced}
	if err := sigstoretest.AttachReferrer(t.Context(), d, must[[]byte](t)(s.Bundle()), announcement); err != nil {
		t.Fatal(err)
	}
}

// attested signs a statement about d.
func attested(
	t testing.TB, a *sigstoretest.Authority, by sigstoretest.Credential, d name.Digest, predicateType string, how sigstoretest.How,
) *sigstoretest.Signature {
	t.Helper()
	statement := must[[]byte](t)(sigstoretest.Attested(d, predicateType, predicate(t, predicateType)))
	return must[*sigstoretest.Signature](t)(a.SignStatement(by, statement, how))
}

// demand asks for attestations of a type by any of the constraints.
func demand(predicateType string, required int, constraints ...verify.Constraint) verify.Demands {
	return verify.Demands{Attestations: []verify.AttestationDemand{{
		PredicateType: predicateType,
		By:            verify.AnyOf{MinimumMatches: required, Signatures: constraints, DistinctSigners: true},
	}}}
}

func TestAttestations(t *testing.T) {
	authority := newAuthority(t)
	root := trustRoot(t, authority)
	key, person := must[sigstoretest.Credential](t)(sigstoretest.NewKey()), issue(t, authority, alice())
	workflow := issue(t, authority, sigstoretest.Workflow("octocat/app"))
	certified := person
	certified.Certificate = nil
	for name, by := range map[string]struct {
		credential sigstoretest.Credential
		how        sigstoretest.How
		asked      verify.Constraint
	}{
		"key":                     {key, sigstoretest.How{Log: sigstoretest.NotLogged}, keyOf(t, key, nil)},
		"logged key":              {key, sigstoretest.How{}, keyOf(t, key, nil)},
		"keyless":                 {person, sigstoretest.How{}, aliceAsked(nil)},
		"keyless, older log kind": {person, sigstoretest.How{Log: sigstoretest.RekorV1Intoto}, aliceAsked(nil)},
		"workflow":                {workflow, sigstoretest.How{}, verify.GithubAction{Owner: "octocat", Repo: "app"}},
		"certificate":             {certified, sigstoretest.How{}, certificateOf(t, person, authority, nil)},
	} {
		for layout, attach := range attestationLayouts() {
			for predicateType := range predicates() {
				t.Run(fmt.Sprintf("%s/%s/%s", layout, name, predicates()[predicateType]), func(t *testing.T) {
					r := newRegistry(t)
					d := r.push(t)
					attach(t, d, attested(t, authority, by.credential, d, predicateType, by.how), predicateType)
					asked := demand(predicateType, 1, by.asked)
					found, err := asked.Verify(t.Context(), d, verify.Options{Remote: r.options, Trust: trust.Given(root)})
					if err != nil {
						t.Fatal(err)
					}
					if len(found.Attestations) != 1 || len(found.Attestations[0]) != 1 {
						t.Fatalf("found %+v", found)
					}
					got := found.Attestations[0][0]
					if got.PredicateType != predicateType || string(got.Predicate) != string(predicate(t, predicateType)) {
						t.Errorf("%s of\n%s", got.PredicateType, got.Predicate)
					}
					if len(got.Signers) != 1 || got.Signers[0].Layout != layout || got.Signers[0].Constraint != 0 {
						t.Errorf("signers: %+v", got.Signers)
					}
				})
			}
		}
	}
}

func TestAttestations_refused(t *testing.T) {
	authority, stranger := newAuthority(t), newAuthority(t)
	root := trustRoot(t, authority)
	person, other := issue(t, authority, alice()), issue(t, authority, sigstoretest.Workflow("mallory/app"))
	key := must[sigstoretest.Credential](t)(sigstoretest.NewKey())
	cases := []struct {
		name  string
		make  func(t *testing.T, d, another name.Digest) *sigstoretest.Signature // nil: nothing attached
		asked verify.Constraint
		want  error  // of the one rejection
		text  string // in the error
	}{
		{"nothing there", func(*testing.T, name.Digest, name.Digest) *sigstoretest.Signature { return nil }, aliceAsked(nil), nil, "no attestations found for image: "},
		{"another key", func(t *testing.T, d, _ name.Digest) *sigstoretest.Signature {
			return attested(t, authority, must[sigstoretest.Credential](t)(sigstoretest.NewKey()), d, slsaType, sigstoretest.How{})
		}, keyOf(t, key, nil), evidence.ErrInvalidSignature, "needed 1 by distinct signers, got 0"},
		{"another identity", func(t *testing.T, d, _ name.Digest) *sigstoretest.Signature {
			return attested(t, authority, other, d, slsaType, sigstoretest.How{})
		}, aliceAsked(nil), evidence.ErrWrongIdentity, `got subject "https://github.com/mallory/app/`},
		{"another image", func(t *testing.T, _, another name.Digest) *sigstoretest.Signature {
			return attested(t, authority, person, another, slsaType, sigstoretest.How{})
		}, aliceAsked(nil), evidence.ErrOtherDigest, "another digest"},
		{"another image, by key", func(t *testing.T, _, another name.Digest) *sigstoretest.Signature {
			return attested(t, authority, key, another, slsaType, sigstoretest.How{})
		}, keyOf(t, key, nil), evidence.ErrOtherDigest, "another digest"},
		{"statement exchanged", func(t *testing.T, d, another name.Digest) *sigstoretest.Signature {
			s := attested(t, authority, person, another, slsaType, sigstoretest.How{})
			s.Payload = must[[]byte](t)(sigstoretest.Attested(d, slsaType, predicate(t, slsaType)))
			return s
		}, aliceAsked(nil), evidence.ErrInvalidSignature, "invalid signature for the certificate's key"},
		{"predicate exchanged, by key", func(t *testing.T, d, _ name.Digest) *sigstoretest.Signature {
			s := attested(t, authority, key, d, slsaType, sigstoretest.How{Log: sigstoretest.NotLogged})
			s.Payload = must[[]byte](t)(sigstoretest.Attested(d, slsaType, []byte(`{"buildDefinition":{}}`)))
			return s
		}, keyOf(t, key, nil), evidence.ErrInvalidSignature, "invalid signature"},
		{"not logged", func(t *testing.T, d, _ name.Digest) *sigstoretest.Signature {
			return attested(t, authority, person, d, slsaType, sigstoretest.How{Log: sigstoretest.NotLogged})
		}, aliceAsked(nil), evidence.ErrNotLogged, "not in transparency log: no entry"},
		{"log entry of another", func(t *testing.T, d, another name.Digest) *sigstoretest.Signature {
			s := attested(t, authority, person, d, slsaType, sigstoretest.How{})
			s.Entry = attested(t, authority, person, another, slsaType, sigstoretest.How{}).Entry
			return s
		}, aliceAsked(nil), evidence.ErrNotLogged, "not in transparency log"},
		{"untrusted root", func(t *testing.T, d, _ name.Digest) *sigstoretest.Signature {
			return attested(t, stranger, issue(t, stranger, alice()), d, slsaType, sigstoretest.How{})
		}, aliceAsked(nil), evidence.ErrUntrustedCertificate, "not issued by a trusted authority"},
		{"an annotation it lacks", func(t *testing.T, d, _ name.Digest) *sigstoretest.Signature {
			return attested(t, authority, person, d, slsaType, sigstoretest.How{})
		}, aliceAsked(annotations{"env": "prod"}), evidence.ErrAnnotation, `"env": want "prod", got none`},
	}
	for _, tc := range cases {
		for layout, attach := range attestationLayouts() {
			t.Run(string(layout)+"/"+tc.name, func(t *testing.T) {
				r := newRegistry(t)
				d, another := r.push(t), r.push(t)
				if s := tc.make(t, d, another); s != nil {
					attach(t, d, s, slsaType)
				}
				asked := demand(slsaType, 1, tc.asked)
				found, err := asked.Verify(t.Context(), d, verify.Options{Remote: r.options, Trust: trust.Given(root)})
				var unattested *verify.UnattestedError
				if !errors.As(err, &unattested) || !strings.HasPrefix(err.Error(), "Image verification failed: attestation "+slsaType+": ") {
					t.Fatalf("got %+v, %v", found, err)
				}
				if !strings.Contains(err.Error(), tc.text) {
					t.Errorf("got %v\nwant %s", err, tc.text)
				}
				if tc.want != nil && !errors.Is(unattested.Rest.Unmet[0].Rejections[0].Reason, tc.want) {
					t.Errorf("rejected for %v, want %v", unattested.Rest.Unmet[0].Rejections[0].Reason, tc.want)
				}
			})
		}
	}
}

// TestAttestations_whatIsSeen holds which of several attestations are returned, with whom, in which
// order.
func TestAttestations_whatIsSeen(t *testing.T) {
	authority := newAuthority(t)
	root := trustRoot(t, authority)
	person, mallory := issue(t, authority, alice()), issue(t, authority, sigstoretest.Workflow("mallory/app"))
	key := must[sigstoretest.Credential](t)(sigstoretest.NewKey())
	r := newRegistry(t)
	d := r.push(t)
	attestLegacy(t, d, attested(t, authority, mallory, d, slsaType, sigstoretest.How{}), slsaType)
	attestLegacy(t, d, attested(t, authority, person, d, vulnType, sigstoretest.How{}), vulnType)
	attestLegacy(t, d, attested(t, authority, person, d, slsaType, sigstoretest.How{}), slsaType)
	attestBundle(t, d, attested(t, authority, key, d, slsaType, sigstoretest.How{}), slsaType)
	attestBundle(t, d, attested(t, authority, issue(t, authority, alice()), d, slsaType, sigstoretest.How{}), slsaType)
	// As releases of cosign announce it that write the predicate type of image signatures on
	// everything.
	attestBundle(t, d, attested(t, authority, key, d, spdxType, sigstoretest.How{}), "https://sigstore.dev/cosign/sign/v1")
	attachBundle(t, d, makeBundle(t, authority, person, d, nil, sigstoretest.How{})) // a signature, and no attestation

	verified := func(t *testing.T, asked verify.Demands) (verify.Findings, error) {
		t.Helper()
		return asked.Verify(t.Context(), d, verify.Options{Remote: r.options, Trust: trust.Given(root)})
	}
	t.Run("one statement by two signers", func(t *testing.T) {
		found, err := verified(t, demand(slsaType, 2, keyOf(t, key, nil), aliceAsked(nil)))
		if err != nil {
			t.Fatal(err)
		}
		// Both signed the same bytes; alice did so twice, and is counted once.
		if len(found.Attestations[0]) != 1 {
			t.Fatalf("%d statements", len(found.Attestations[0]))
		}
		var got []string
		for _, s := range found.Attestations[0][0].Signers {
			got = append(got, fmt.Sprintf("%d %s %t", s.Constraint, s.Layout, s.Identity != nil))
		}
		if want := []string{"0 bundle false", "1 legacy true"}; !slices.Equal(got, want) {
			t.Errorf("signers %q, want %q", got, want)
		}
	})
	t.Run("twice by one signer is once", func(t *testing.T) {
		_, err := verified(t, demand(slsaType, 2, aliceAsked(nil), aliceAsked(annotations{})))
		var unattested *verify.UnattestedError
		if !errors.As(err, &unattested) || unattested.Rest.Got != 1 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("several demands, and signatures", func(t *testing.T) {
		asked := demand(vulnType, 1, aliceAsked(nil))
		asked.Attestations = append(asked.Attestations, demand(spdxType, 1, keyOf(t, key, nil)).Attestations...)
		asked.Signatures = &verify.AnyOf{MinimumMatches: 1, DistinctSigners: true, Signatures: []verify.Constraint{
			keyOf(t, key, nil), aliceAsked(nil),
		}}
		found, err := verified(t, asked)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Signers) != 1 || found.Signers[0].Constraint != 1 || found.Signers[0].Identity.Subject != aliceSubject {
			t.Errorf("signers %+v", found.Signers)
		}
		for i, predicateType := range []string{vulnType, spdxType} {
			if got := found.Attestations[i]; len(got) != 1 || got[0].PredicateType != predicateType {
				t.Errorf("demand %d: %+v", i, got)
			}
		}
	})
	t.Run("a signature is no attestation", func(t *testing.T) {
		unsigned := r.push(t)
		attestLegacy(t, unsigned, attested(t, authority, person, unsigned, slsaType, sigstoretest.How{}), slsaType)
		attestBundle(t, unsigned, attested(t, authority, person, unsigned, slsaType, sigstoretest.How{}), slsaType)
		asked := verify.Demands{Signatures: &verify.AnyOf{MinimumMatches: 1, Signatures: []verify.Constraint{aliceAsked(nil)}}}
		_, err := asked.Verify(t.Context(), unsigned, verify.Options{Remote: r.options, Trust: trust.Given(root)})
		var unverified *verify.UnverifiedError
		if !errors.As(err, &unverified) || unverified.Found != 0 {
			t.Errorf("got %v", err)
		}
	})
}

// denying answers requests for some paths with 403, without a network.
type denying struct{ paths []string }

func (d denying) RoundTrip(req *http.Request) (*http.Response, error) {
	if slices.ContainsFunc(d.paths, func(path string) bool { return strings.Contains(req.URL.Path, path) }) {
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Request: req, Body: http.NoBody}, nil
	}
	return http.DefaultTransport.RoundTrip(req)
}

// TestAttestations_unread holds that an attestation which was not read is never taken for one that
// is not there.
func TestAttestations_unread(t *testing.T) {
	authority := newAuthority(t)
	person := issue(t, authority, alice())
	for layout, attach := range attestationLayouts() {
		r := newRegistry(t, withReferrers)
		d := r.push(t)
		attach(t, d, attested(t, authority, person, d, slsaType, sigstoretest.How{}), slsaType)
		verified := func(denied ...string) error {
			_, err := demand(slsaType, 1, aliceAsked(nil)).Verify(t.Context(), d, verify.Options{
				Trust: trust.Given(trustRoot(t, authority)),
				Remote: func(ctx context.Context) []remote.Option {
					return append(r.options(ctx), remote.WithTransport(denying{denied}))
				},
			})
			return err
		}
		for _, denied := range []string{".att", "/referrers/", "/blobs/"} {
			t.Run(string(layout)+"/without "+denied, func(t *testing.T) {
				var lookup *verify.LookupError
				if err := verified(denied); !errors.As(err, &lookup) || !strings.Contains(err.Error(), "403") {
					t.Errorf("got %v", err)
				}
			})
		}
	}
}

// TestAttestations_limits holds that more attestations than are looked at are an error, and not
// half of the truth.
func TestAttestations_limits(t *testing.T) {
	authority, key := newAuthority(t), must[sigstoretest.Credential](t)(sigstoretest.NewKey())
	for layout := range attestationLayouts() {
		for name, c := range map[string]struct {
			count int
			size  int64 // that each claims to have; 0: its own
			want  string
		}{
			"as many as may be": {64, 0, ""},
			"one more":          {65, 0, "64"},
			"too large":         {2, 13 << 20, "attestations of more than the limit of 25165824 bytes"},
		} {
			t.Run(string(layout)+"/"+name, func(t *testing.T) {
				r := newRegistry(t, withReferrers)
				d := r.push(t)
				image := empty.Image
				for i := range c.count {
					statement := must[[]byte](t)(sigstoretest.Attested(d, slsaType, fmt.Appendf(nil, `{"n":%d}`, i)))
					s := must[*sigstoretest.Signature](t)(authority.SignStatement(key, statement, sigstoretest.How{Log: sigstoretest.NotLogged}))
					image = must[v1.Image](t)(mutate.Append(image, mutate.Addendum{Layer: attestationLayer(t, s, layout)}))
				}
				r.attachImage(t, d, image, layout, c.size)
				_, err := demand(slsaType, 1, keyOf(t, key, nil)).Verify(t.Context(), d, verify.Options{Remote: r.options})
				var lookup *verify.LookupError
				if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &lookup) || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			})
		}
	}
}

// attestationLayer is s as it is kept in a layout.
func attestationLayer(t *testing.T, s *sigstoretest.Signature, layout evidence.Layout) v1.Layer {
	t.Helper()
	if layout == evidence.LayoutBundle {
		return blob.NewLayer(must[[]byte](t)(s.Bundle()), sigstoretest.BundleType)
	}
	envelope, err := s.EnvelopeLayer(slsaType)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// attachImage puts all layers of image beside d at once. Its manifest gives them size, unless that
// is 0.
func (r *registryServer) attachImage(t *testing.T, d name.Digest, image v1.Image, layout evidence.Layout, size int64) {
	t.Helper()
	if layout == evidence.LayoutBundle {
		subject := must[*v1.Descriptor](t)(remote.Head(d))
		image = mutate.Subject(mutate.MediaType(image, types.OCIManifestSchema1), *subject).(v1.Image)
	}
	for _, layer := range must[[]v1.Layer](t)(image.Layers()) {
		if err := remote.WriteLayer(d.Context(), layer); err != nil {
			t.Fatal(err)
		}
	}
	written := must[*v1.Manifest](t)(image.Manifest()).DeepCopy()
	for i := range written.Layers {
		written.Layers[i].Size = max(written.Layers[i].Size, size)
	}
	raw := must[[]byte](t)(json.Marshal(written))
	place := name.Reference(d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1) + ".att"))
	if layout == evidence.LayoutBundle {
		place = r.digest(t, hashOf(t, raw))
	}
	if err := remote.Put(place, manifest{written.MediaType, raw}); err != nil {
		t.Fatal(err)
	}
}
