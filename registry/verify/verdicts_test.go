package verify_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
	sigstoreroot "github.com/sigstore/sigstore-go/pkg/root"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
	"policy-server/registry/verify"
)

// world is what one verdict is about: who signs, and with whose authority behind.
type world struct {
	authority, mallory *sigstoretest.Authority
	layout             layout
	kind               string
	digest, another    name.Digest
}

// The kinds of constraints, in the columns of the table.
const (
	byKey         = "key"
	byKeyless     = "keyless"
	byGitHub      = "GitHub"
	byCertificate = "certificate"
)

func (w world) identity() sigstoretest.Identity {
	if w.kind == byGitHub {
		return sigstoretest.Workflow("alice/policy")
	}
	return alice()
}

// credential is alice's, from authority a.
func (w world) credential(t *testing.T, a *sigstoretest.Authority, id sigstoretest.Identity) sigstoretest.Credential {
	t.Helper()
	if w.kind == byKey {
		return must[sigstoretest.Credential](t)(sigstoretest.NewKey())
	}
	return issue(t, a, id)
}

// asking returns the constraint that c meets.
func (w world) asking(t *testing.T, c sigstoretest.Credential, with annotations) verify.Constraint {
	t.Helper()
	switch w.kind {
	case byKey:
		return keyOf(t, c, with)
	case byKeyless:
		return verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual(aliceSubject), Annotations: with}
	case byGitHub:
		return verify.GithubAction{Owner: "alice", Repo: "policy", Annotations: with}
	}
	return certificateOf(t, c, w.authority, with)
}

func (w world) sign(t *testing.T, c sigstoretest.Credential, d name.Digest, how sigstoretest.How) *sigstoretest.Signature {
	t.Helper()
	return w.layout.make(t, w.authority, c, d, annotations{"env": "prod"}, how)
}

// honest returns a signature by a new credential, with the constraint that asks for it.
func (w world) honest(t *testing.T) (*sigstoretest.Signature, verify.Constraint) {
	t.Helper()
	c := w.credential(t, w.authority, w.identity())
	return w.sign(t, c, w.digest, sigstoretest.How{}), w.asking(t, c, annotations{"env": "prod"})
}

// by returns an honest signature of somebody, with the constraint that asks for alice.
func (w world) by(t *testing.T, id sigstoretest.Identity) (*sigstoretest.Signature, verify.Constraint) {
	t.Helper()
	s := w.sign(t, w.credential(t, w.authority, id), w.digest, sigstoretest.How{})
	return s, w.asking(t, w.credential(t, w.authority, w.identity()), nil)
}

// TestVerdicts is the table: every way of signing, under every kind of constraint, in both layouts
// and both kinds of registries. Reasons are compared in full with testdata/reasons.txt.
func TestVerdicts(t *testing.T) {
	authority, mallory := newAuthority(t), newAuthority(t)
	trusted := must[[]byte](t)(authority.TrustedRoot())
	root, material := parseTrustRoot(t, trusted), must[*sigstoreroot.TrustedRoot](t)(sigstoreroot.NewTrustedRootFromJSON(trusted))
	for name, r := range map[string]*registryServer{
		"fallback tag": newRegistry(t), "referrers API": newRegistry(t, withReferrers),
	} {
		t.Run(name, func(t *testing.T) {
			var reasons strings.Builder
			another := r.push(t)
			for _, row := range verdicts() {
				for _, w := range row.worlds() {
					w.authority, w.mallory, w.digest, w.another = authority, mallory, r.push(t), another
					title := fmt.Sprintf("%s, %s, %s", row.name, w.layout.name, w.kind)
					t.Run(title, func(t *testing.T) {
						s, asked := row.make(t, w)
						w.layout.attach(t, w.digest, s)
						report, err := trusting(t, r, allOf(asked), root).Check(t.Context(), w.digest)
						reason := reasonOf(t, err)
						fmt.Fprintf(&reasons, "%s: %s\n", title, normal(reason))
						if want := row.refused[w.kind]; !errors.Is(reason, want) {
							t.Errorf("got %v, want %v", reason, want)
						}
						if w.layout.name == "legacy" && (w.kind == byKeyless || w.kind == byGitHub) {
							agreesWithCosign(t, material, w, s, reason)
						}
						if (err == nil) != report.Digest.IsSigned() {
							t.Errorf("got %v with %v", report.Digest, err)
						}
					})
				}
			}
			compareGolden(t, "reasons.txt", reasons.String())
		})
	}
}

// worlds are the columns that the row has.
func (row verdict) worlds() []world {
	var columns []world
	for _, layout := range layouts() {
		for _, kind := range []string{byKey, byKeyless, byGitHub, byCertificate} {
			if row.only == nil || slices.Contains(row.only, kind) {
				columns = append(columns, world{layout: layout, kind: kind})
			}
		}
	}
	return columns
}

// agreesWithCosign holds a verdict on a layer against cosign's, which has code of its own for them.
// Who signed is for our constraints to tell, and not asked of it.
func agreesWithCosign(t *testing.T, material *sigstoreroot.TrustedRoot, w world, s *sigstoretest.Signature, reason error) {
	t.Helper()
	for _, ours := range []error{evidence.ErrWrongIdentity, evidence.ErrNoIdentity, evidence.ErrAnnotation} {
		if errors.Is(reason, ours) {
			reason = nil
		}
	}
	layer := must[oci.Signature](t)(s.Layer())
	_, err := cosign.VerifyImageSignature(t.Context(), layer, must[v1.Hash](t)(v1.NewHash(w.digest.DigestStr())), &cosign.CheckOpts{
		TrustedMaterial: material, ClaimVerifier: cosign.SimpleClaimVerifier, Offline: true,
	})
	if (err == nil) != (reason == nil) {
		t.Errorf("got %v, cosign says %v", reason, err)
	}
}

// reasonOf returns why the only signature was refused for the only constraint; nil when it was not.
func reasonOf(t *testing.T, err error) error {
	t.Helper()
	if err == nil {
		return nil
	}
	var unverified *verify.UnverifiedError
	if !errors.As(err, &unverified) || len(unverified.Unmet) != 1 || len(unverified.Unmet[0].Rejections) != 1 {
		t.Fatalf("got %v, want an UnverifiedError with one rejection", err)
	}
	return unverified.Unmet[0].Rejections[0].Reason
}

// normal takes out of a reason what differs from run to run.
func normal(reason error) string {
	if reason == nil {
		return "accepted"
	}
	text := strings.ReplaceAll(reason.Error(), "\n", "; ")
	text = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(text, "<hex>")
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).ReplaceAllString(text, "<time>")
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got:\n%s\nwant:\n%s", path, got, want)
	}
}
