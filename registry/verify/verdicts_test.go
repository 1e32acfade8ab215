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
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/internal/sigstoretest"
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

// verdict is a row of the table: what is attached, what is asked for, and why it is refused, by kind of constraint; a
// kind that is absent is accepted, unless only names others.
type verdict struct {
	name    string
	only    []string // kinds the row is about; nil: all
	make    func(*testing.T, world) (*sigstoretest.Signature, verify.Constraint)
	refused map[string]error
}

func all(reason error) map[string]error {
	return map[string]error{byKey: reason, byKeyless: reason, byGitHub: reason, byCertificate: reason}
}

func verdicts() []verdict {
	return []verdict{{
		name: "accepted",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) { return w.honest(t) },
	}, {
		name: "signed long ago, expired since", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id, then := w.identity(), time.Now().Add(-100*24*time.Hour)
			id.NotBefore = then.Add(-time.Minute)
			c := w.credential(t, w.authority, id)
			return w.sign(t, c, w.digest, sigstoretest.How{At: then}), w.asking(t, c, nil)
		},
	}, {
		name: "somebody else",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := sigstoretest.Identity{Email: "mallory@example.com", Issuer: aliceIssuer}
			if w.kind == byGitHub {
				id = sigstoretest.Workflow("mallory/policy")
			}
			return w.by(t, id)
		},
		refused: map[string]error{
			byKey: verify.ErrInvalidSignature, byKeyless: verify.ErrWrongIdentity, byGitHub: verify.ErrWrongIdentity,
			byCertificate: verify.ErrInvalidSignature,
		},
	}, {
		name: "wrong issuer", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.Issuer = "https://accounts.mallory.example"
			return w.by(t, id)
		},
		refused: all(verify.ErrWrongIdentity),
	}, {
		name: "two issuers", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.LegacyIssuer = "https://accounts.mallory.example"
			return w.by(t, id)
		},
		refused: all(verify.ErrNoIdentity),
	}, {
		name: "neither e-mail address nor URI", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.Email, id.URI, id.OtherName = "", "", aliceSubject
			return w.by(t, id)
		},
		refused: all(verify.ErrNoIdentity),
	}, {
		name: "prefix that goes on", only: []string{byKeyless},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, _ := w.by(t, sigstoretest.Workflow("alice-in-chains/policy"))
			return s, verify.GenericIssuer{Issuer: sigstoretest.GitHubIssuer, Subject: urlPrefix(t, "https://github.com/alice")}
		},
		refused: all(verify.ErrWrongIdentity),
	}, {
		name: "owner that goes on", only: []string{byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			return w.by(t, sigstoretest.Workflow("alice-in-chains/policy"))
		},
		refused: all(verify.ErrWrongIdentity),
	}, {
		name: "alice's workflow run by mallory", only: []string{byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.GitHub[5] = "mallory/policy"
			return w.by(t, id)
		},
		refused: all(verify.ErrWrongIdentity),
	}, {
		name: "mallory's workflow run by alice", only: []string{byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.URI = sigstoretest.Workflow("mallory/workflows").URI
			return w.by(t, id)
		},
	}, {
		name: "GitHub's issuer for a person", only: []string{byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.URI, id.Email = "", "https://github.com/alice/policy"
			return w.by(t, id)
		},
		refused: all(verify.ErrWrongIdentity),
	}, {
		name: "wrong annotation",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			return w.sign(t, c, w.digest, sigstoretest.How{}), w.asking(t, c, annotations{"env": "test"})
		},
		refused: all(verify.ErrAnnotation),
	}, {
		name: "expired at signing time", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.NotBefore = time.Now().Add(-2 * time.Hour)
			return w.by(t, id)
		},
		refused: all(verify.ErrExpired),
	}, {
		name: "signed before the certificate was valid", only: []string{byKeyless, byGitHub, byCertificate},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			how := sigstoretest.How{At: time.Now().Add(-2 * time.Hour)}
			return w.sign(t, c, w.digest, how), w.asking(t, c, nil)
		},
		refused: all(verify.ErrNotYetValid),
	}, {
		name: "no log entry",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			return w.sign(t, c, w.digest, sigstoretest.How{Log: sigstoretest.NotLogged}), w.asking(t, c, nil)
		},
		refused: map[string]error{
			byKeyless: verify.ErrNotLogged, byGitHub: verify.ErrNotLogged, byCertificate: verify.ErrNotLogged,
		},
	}, {
		name: "timestamped but not logged", only: []string{byKeyless, byGitHub, byCertificate},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			how := sigstoretest.How{Log: sigstoretest.NotLogged, Timestamped: true}
			return w.sign(t, c, w.digest, how), w.asking(t, c, nil)
		},
		refused: all(verify.ErrNotLogged),
	}, {
		name: "log entry of another signature",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s := w.sign(t, c, w.digest, sigstoretest.How{})
			s.Entry = w.sign(t, c, w.another, sigstoretest.How{}).Entry
			return s, w.asking(t, c, nil)
		},
		refused: all(verify.ErrNotLogged),
	}, {
		name: "log entry of another log",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s := w.sign(t, c, w.digest, sigstoretest.How{})
			s.Entry = w.layout.make(t, w.mallory, c, w.digest, nil, sigstoretest.How{}).Entry
			return s, w.asking(t, c, nil)
		},
		refused: all(verify.ErrNotLogged),
	}, {
		name: "log entry with another promise",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.honest(t)
			another, _ := w.honest(t)
			s.Entry.InclusionPromise = another.Entry.InclusionPromise
			return s, asked
		},
		refused: all(verify.ErrNotLogged),
	}, {
		name: "signature of another digest",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s, other := w.sign(t, c, w.digest, sigstoretest.How{}), w.sign(t, c, w.another, sigstoretest.How{})
			s.Raw = other.Raw
			return s, w.asking(t, c, nil)
		},
		refused: all(verify.ErrInvalidSignature),
	}, {
		name: "certificate, entry and signature of another digest",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s, other := w.sign(t, c, w.digest, sigstoretest.How{}), w.sign(t, c, w.another, sigstoretest.How{})
			s.Raw, s.Entry = other.Raw, other.Entry
			return s, w.asking(t, c, nil)
		},
		refused: all(verify.ErrInvalidSignature),
	}, {
		name: "payload for another digest",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			return w.sign(t, c, w.another, sigstoretest.How{}), w.asking(t, c, nil)
		},
		refused: all(verify.ErrOtherDigest),
	}, {
		name: "payload changed after signing",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.honest(t)
			s.Payload = []byte(strings.Replace(string(s.Payload), "prod", "test", 1))
			return s, asked
		},
		refused: all(verify.ErrInvalidSignature),
	}, {
		name: "certificate exchanged for alice's", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.by(t, sigstoretest.Workflow("mallory/policy"))
			s.Certificate = w.credential(t, w.authority, w.identity()).Certificate
			return s, asked
		},
		refused: all(verify.ErrInvalidSignature),
	}, {
		name: "certificate of another authority",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.mallory, w.identity())
			return w.sign(t, c, w.digest, sigstoretest.How{}), w.asking(t, c, nil)
		},
		refused: map[string]error{
			byKeyless: verify.ErrUntrustedCertificate, byGitHub: verify.ErrUntrustedCertificate,
			byCertificate: verify.ErrUntrustedCertificate,
		},
	}, {
		name: "certificate not in the certificate log", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.NotLogged = true
			return w.by(t, id)
		},
		refused: all(verify.ErrUnloggedCertificate),
	}, {
		name: "no certificate", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.honest(t)
			s.Certificate = nil
			return s, asked
		},
		refused: all(verify.ErrNoCertificate),
	}}
}

// TestVerdicts is the table: every way of signing, under every kind of constraint, in both layouts and both kinds of
// registries. Reasons are compared in full with testdata/reasons.txt.
func TestVerdicts(t *testing.T) {
	authority, mallory := newAuthority(t), newAuthority(t)
	root := trustRoot(t, authority)
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
