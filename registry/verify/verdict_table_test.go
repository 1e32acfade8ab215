package verify_test

import (
	"strings"
	"testing"
	"time"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
	"policy-server/registry/verify"
)

// verdict is a row of the table: what is attached, what is asked for, and why it is refused, by
// kind of constraint; a kind that is absent is accepted, unless only names others.
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
			byKey: evidence.ErrInvalidSignature, byKeyless: evidence.ErrWrongIdentity, byGitHub: evidence.ErrWrongIdentity,
			byCertificate: evidence.ErrInvalidSignature,
		},
	}, {
		name: "wrong issuer", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.Issuer = "https://accounts.mallory.example"
			return w.by(t, id)
		},
		refused: all(evidence.ErrWrongIdentity),
	}, {
		name: "two issuers", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.LegacyIssuer = "https://accounts.mallory.example"
			return w.by(t, id)
		},
		refused: all(evidence.ErrNoIdentity),
	}, {
		name: "neither e-mail address nor URI", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.Email, id.URI, id.OtherName = "", "", aliceSubject
			return w.by(t, id)
		},
		refused: all(evidence.ErrNoIdentity),
	}, {
		name: "prefix that goes on", only: []string{byKeyless},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, _ := w.by(t, sigstoretest.Workflow("alice-in-chains/policy"))
			return s, verify.GenericIssuer{Issuer: sigstoretest.GitHubIssuer, Subject: urlPrefix(t, "https://github.com/alice")}
		},
		refused: all(evidence.ErrWrongIdentity),
	}, {
		name: "owner that goes on", only: []string{byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			return w.by(t, sigstoretest.Workflow("alice-in-chains/policy"))
		},
		refused: all(evidence.ErrWrongIdentity),
	}, {
		name: "alice's workflow run by mallory", only: []string{byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.GitHub[5] = "mallory/policy"
			return w.by(t, id)
		},
		refused: all(evidence.ErrWrongIdentity),
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
		refused: all(evidence.ErrWrongIdentity),
	}, {
		name: "wrong annotation",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			return w.sign(t, c, w.digest, sigstoretest.How{}), w.asking(t, c, annotations{"env": "test"})
		},
		refused: all(evidence.ErrAnnotation),
	}, {
		name: "expired at signing time", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.NotBefore = time.Now().Add(-2 * time.Hour)
			return w.by(t, id)
		},
		refused: all(evidence.ErrExpired),
	}, {
		name: "signed before the certificate was valid", only: []string{byKeyless, byGitHub, byCertificate},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			how := sigstoretest.How{At: time.Now().Add(-2 * time.Hour)}
			return w.sign(t, c, w.digest, how), w.asking(t, c, nil)
		},
		refused: all(evidence.ErrNotYetValid),
	}, {
		name: "no log entry",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			return w.sign(t, c, w.digest, sigstoretest.How{Log: sigstoretest.NotLogged}), w.asking(t, c, nil)
		},
		refused: map[string]error{
			byKeyless: evidence.ErrNotLogged, byGitHub: evidence.ErrNotLogged, byCertificate: evidence.ErrNotLogged,
		},
	}, {
		name: "timestamped but not logged", only: []string{byKeyless, byGitHub, byCertificate},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			how := sigstoretest.How{Log: sigstoretest.NotLogged, Timestamped: true}
			return w.sign(t, c, w.digest, how), w.asking(t, c, nil)
		},
		refused: all(evidence.ErrNotLogged),
	}, {
		name: "log entry of another signature",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s := w.sign(t, c, w.digest, sigstoretest.How{})
			s.Entry = w.sign(t, c, w.another, sigstoretest.How{}).Entry
			return s, w.asking(t, c, nil)
		},
		refused: all(evidence.ErrNotLogged),
	}, {
		name: "log entry of another log",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s := w.sign(t, c, w.digest, sigstoretest.How{})
			s.Entry = w.layout.make(t, w.mallory, c, w.digest, nil, sigstoretest.How{}).Entry
			return s, w.asking(t, c, nil)
		},
		refused: all(evidence.ErrNotLogged),
	}, {
		name: "log entry with another promise",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.honest(t)
			another, _ := w.honest(t)
			s.Entry.InclusionPromise = another.Entry.InclusionPromise
			return s, asked
		},
		refused: all(evidence.ErrNotLogged),
	}, {
		name: "signature of another digest",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s, other := w.sign(t, c, w.digest, sigstoretest.How{}), w.sign(t, c, w.another, sigstoretest.How{})
			s.Raw = other.Raw
			return s, w.asking(t, c, nil)
		},
		refused: all(evidence.ErrInvalidSignature),
	}, {
		name: "certificate, entry and signature of another digest",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			s, other := w.sign(t, c, w.digest, sigstoretest.How{}), w.sign(t, c, w.another, sigstoretest.How{})
			s.Raw, s.Entry = other.Raw, other.Entry
			return s, w.asking(t, c, nil)
		},
		refused: all(evidence.ErrInvalidSignature),
	}, {
		name: "payload for another digest",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.authority, w.identity())
			return w.sign(t, c, w.another, sigstoretest.How{}), w.asking(t, c, nil)
		},
		refused: all(evidence.ErrOtherDigest),
	}, {
		name: "payload changed after signing",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.honest(t)
			s.Payload = []byte(strings.Replace(string(s.Payload), "prod", "test", 1))
			return s, asked
		},
		refused: all(evidence.ErrInvalidSignature),
	}, {
		name: "certificate exchanged for alice's", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.by(t, sigstoretest.Workflow("mallory/policy"))
			s.Certificate = w.credential(t, w.authority, w.identity()).Certificate
			return s, asked
		},
		refused: all(evidence.ErrInvalidSignature),
	}, {
		name: "certificate of another authority",
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			c := w.credential(t, w.mallory, w.identity())
			return w.sign(t, c, w.digest, sigstoretest.How{}), w.asking(t, c, nil)
		},
		refused: map[string]error{
			byKeyless: evidence.ErrUntrustedCertificate, byGitHub: evidence.ErrUntrustedCertificate,
			byCertificate: evidence.ErrUntrustedCertificate,
		},
	}, {
		name: "certificate not in the certificate log", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			id := w.identity()
			id.NotLogged = true
			return w.by(t, id)
		},
		refused: all(evidence.ErrUnloggedCertificate),
	}, {
		name: "no certificate", only: []string{byKeyless, byGitHub},
		make: func(t *testing.T, w world) (*sigstoretest.Signature, verify.Constraint) {
			s, asked := w.honest(t)
			s.Certificate = nil
			return s, asked
		},
		refused: all(evidence.ErrNoCertificate),
	}}
}
