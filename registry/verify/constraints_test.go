package verify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	bundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

func regex(t testing.TB, text string) verify.Regex {
	t.Helper()
	return must[verify.Regex](t)(verify.ParseRegex(text))
}

// TestGenericIssuer holds what each demand on an identity covers.
func TestGenericIssuer(t *testing.T) {
	authority := newAuthority(t)
	root, r := trustRoot(t, authority), newRegistry(t, withReferrers)
	workflow := sigstoretest.Workflow("alice/policy")
	person, action := r.push(t), r.push(t)
	attachBundle(t, person, makeBundle(t, authority, issue(t, authority, alice()), person, nil, sigstoretest.How{}))
	attachBundle(t, action, makeBundle(t, authority, issue(t, authority, workflow), action, nil, sigstoretest.How{}))
	legacyIssuer := sigstoretest.Identity{Email: aliceSubject, LegacyIssuer: aliceIssuer}
	old := r.push(t)
	attachBundle(t, old, makeBundle(t, authority, issue(t, authority, legacyIssuer), old, nil, sigstoretest.How{}))

	github := func(subject verify.Subject) verify.GenericIssuer {
		return verify.GenericIssuer{Issuer: sigstoretest.GitHubIssuer, Subject: subject}
	}
	subjectRegex := func(text string) verify.Subject { return verify.SubjectRegex(regex(t, text)) }
	cases := []struct {
		name string
		d    name.Digest
		ask  verify.Constraint
		fits bool
	}{
		{"equal", person, aliceAsked(nil), true},
		{"issuer in the older extension only", old, aliceAsked(nil), true},
		{"equal but for case", person, verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual("Alice@example.com")}, false},
		{"issuer with a slash more", person, verify.GenericIssuer{Issuer: aliceIssuer + "/", Subject: verify.SubjectEqual(aliceSubject)}, false},
		{"URI equal", action, github(verify.SubjectEqual(workflow.URI)), true},
		{"below a URL", action, github(urlPrefix(t, "https://github.com/alice")), true},
		{"below a deeper URL", action, github(urlPrefix(t, "https://github.com/alice/policy/.github/workflows")), true},
		{"below a URL that ends within an element", action, github(urlPrefix(t, workflow.URI[:len(workflow.URI)-1])), false},
		{"e-mail below a URL", person, verify.GenericIssuer{Issuer: aliceIssuer, Subject: urlPrefix(t, "https://example.com")}, false},
		{"regular expression", action, github(subjectRegex(`https://github\.com/alice/[a-z]+/\.github/workflows/release\.yml@refs/tags/v\d+`)), true},
		{"regular expression for a part", action, github(subjectRegex(`https://github\.com/alice/policy`)), false},
		{"regular expression with an alternative", action, github(subjectRegex(`x|https://github\.com/alice/.*`)), true},
		{"regular expression with an alternative for a part", action, github(subjectRegex(`https://github\.com/alice|x`)), false},
		{"regular expression over lines", action, github(subjectRegex(`(?m)^https://github\.com/alice/.*$`)), true},
		{"issuer by regular expression", person, verify.GenericIssuer{IssuerRegex: regex(t, `https://accounts\..*`), Subject: verify.SubjectEqual(aliceSubject)}, true},
		{"issuer by regular expression for a part", person, verify.GenericIssuer{IssuerRegex: regex(t, `accounts`), Subject: verify.SubjectEqual(aliceSubject)}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := trusting(t, r, allOf(tc.ask), root).Verify(t.Context(), tc.d)
			if reason := reasonOf(t, err); tc.fits != (reason == nil) || !tc.fits && !errors.Is(reason, evidence.ErrWrongIdentity) {
				t.Errorf("got %v", reason)
			}
		})
	}
}

func TestCertificate(t *testing.T) {
	authority, mallory := newAuthority(t), newAuthority(t)
	root, r := trustRoot(t, authority), newRegistry(t)
	year := alice()
	year.NotBefore, year.Lifetime = time.Now().Add(-30*24*time.Hour), 365*24*time.Hour
	lasting := issue(t, authority, year)
	past := alice()
	past.NotBefore = time.Now().Add(-48 * time.Hour)
	expired := issue(t, authority, past)
	future := alice()
	future.NotBefore = time.Now().Add(time.Hour)
	early := issue(t, authority, future)

	asked := func(c sigstoretest.Credential, change func(*verify.Certificate)) verify.Certificate {
		constraint := certificateOf(t, c, authority, nil)
		change(&constraint)
		return constraint
	}
	asIs := func(c *verify.Certificate) { c.Chain = verify.CertificateFile{} }
	unlogged := func(c *verify.Certificate) { c.AllowUnlogged = true }
	both := func(c *verify.Certificate) { asIs(c); unlogged(c) }
	notLogged := sigstoretest.How{Log: sigstoretest.NotLogged}
	cases := []struct {
		name  string
		by    sigstoretest.Credential
		how   sigstoretest.How
		ask   verify.Constraint
		trust trust.Source
		want  error
	}{
		{"logged", lasting, sigstoretest.How{}, certificateOf(t, lasting, authority, nil), trust.Given(root), nil},
		{"trusted as it is", lasting, sigstoretest.How{}, asked(lasting, asIs), trust.Given(root), nil},
		{"no log needed", lasting, notLogged, asked(lasting, unlogged), trust.Source{}, nil},
		{"no log needed, and there is one nobody can check", lasting, sigstoretest.How{}, asked(lasting, unlogged), trust.Source{}, nil},
		{"no log needed, but there is a wrong one", lasting, sigstoretest.How{At: time.Now().Add(-60 * 24 * time.Hour)}, asked(lasting, unlogged), trust.Given(root), evidence.ErrNotYetValid},
		{"second log, with a time", lasting, sigstoretest.How{Log: sigstoretest.RekorV2, Timestamped: true}, certificateOf(t, lasting, authority, nil), trust.Given(root), nil},
		{"second log, without", lasting, sigstoretest.How{Log: sigstoretest.RekorV2}, certificateOf(t, lasting, authority, nil), trust.Given(root), evidence.ErrNoTime},
		{"expired since, chain must be valid now", expired, sigstoretest.How{At: past.NotBefore.Add(time.Minute)}, certificateOf(t, expired, authority, nil), trust.Given(root), evidence.ErrUntrustedCertificate},
		{"expired since, trusted as it is", expired, sigstoretest.How{At: past.NotBefore.Add(time.Minute)}, asked(expired, asIs), trust.Given(root), nil},
		{"expired when signed", expired, sigstoretest.How{}, asked(expired, asIs), trust.Given(root), evidence.ErrExpired},
		{"not valid yet", early, notLogged, asked(early, both), trust.Source{}, evidence.ErrNotYetValid},
		{"another's chain", lasting, notLogged, asked(lasting, func(c *verify.Certificate) {
			unlogged(c)
			c.Chain = certificateOf(t, lasting, mallory, nil).Chain
		}), trust.Source{}, evidence.ErrUntrustedCertificate},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := r.push(t)
			attachBundle(t, d, makeBundle(t, authority, tc.by, d, nil, tc.how))
			v := must[*verify.Verifier](t)(verify.New(allOf(tc.ask), verify.Options{Remote: r.options, Trust: tc.trust}))
			_, err := v.Verify(t.Context(), d)
			if reason := reasonOf(t, err); !errors.Is(reason, tc.want) {
				t.Errorf("got %v, want %v", reason, tc.want)
			}
		})
	}
}

// TestSeveralLogEntries holds that no entry counts for what only another one proves: whoever signs
// writes the bundle, and may put an entry of a time of his choice before the one of the log.
func TestSeveralLogEntries(t *testing.T) {
	authority := newAuthority(t)
	root, r := trustRoot(t, authority), newRegistry(t)
	past := alice()
	past.NotBefore = time.Now().Add(-48 * time.Hour)
	expired, valid := issue(t, authority, past), issue(t, authority, alice())
	lapsed := certificateOf(t, expired, authority, nil)
	lapsed.Chain = verify.CertificateFile{}
	unlogged := lapsed
	unlogged.AllowUnlogged = true
	forged := func(_ *testing.T, s *sigstoretest.Signature) *rekor.TransparencyLogEntry {
		entry := proto.CloneOf(s.Entry)
		entry.LogIndex, entry.IntegratedTime = 7, past.NotBefore.Add(time.Minute).Unix()
		return entry
	}
	cases := []struct {
		name    string
		by      sigstoretest.Credential
		ask     verify.Constraint
		another func(*testing.T, *sigstoretest.Signature) *rekor.TransparencyLogEntry
	}{
		{"certificate, expired when signed", expired, lapsed, forged},
		{"certificate, expired when signed, no log needed", expired, unlogged, forged},
		{"key", valid, keyOf(t, valid, nil), forged},
		{"keyless", valid, aliceAsked(nil), forged},
		{"keyless, promised but for another signature", valid, aliceAsked(nil), func(t *testing.T, _ *sigstoretest.Signature) *rekor.TransparencyLogEntry {
			return makeBundle(t, authority, valid, r.push(t), nil, sigstoretest.How{}).Entry
		}},
	}
	for _, tc := range cases {
		for position := range 2 {
			t.Run(fmt.Sprintf("%s, at %d", tc.name, position), func(t *testing.T) {
				d := r.push(t)
				s := makeBundle(t, authority, tc.by, d, nil, sigstoretest.How{})
				content := withEntryAt(t, must[[]byte](t)(s.Bundle()), position, tc.another(t, s))
				if err := sigstoretest.AttachBundle(t.Context(), d, content); err != nil {
					t.Fatal(err)
				}
				_, err := trusting(t, r, allOf(tc.ask), root).Verify(t.Context(), d)
				if reason := reasonOf(t, err); !errors.Is(reason, evidence.ErrNotLogged) {
					t.Errorf("got %v, want %v", reason, evidence.ErrNotLogged)
				}
			})
		}
	}
}

// withEntryAt returns a bundle with one more log entry.
func withEntryAt(t *testing.T, content []byte, position int, entry *rekor.TransparencyLogEntry) []byte {
	t.Helper()
	document := new(bundle.Bundle)
	if err := protojson.Unmarshal(content, document); err != nil {
		t.Fatal(err)
	}
	material := document.VerificationMaterial
	material.TlogEntries = slices.Insert(material.TlogEntries, position, entry)
	return must[[]byte](t)(protojson.Marshal(document))
}

func TestDistinctSigners(t *testing.T) {
	authority := newAuthority(t)
	root, r := trustRoot(t, authority), newRegistry(t)
	somebody := func(mail string) sigstoretest.Credential {
		return issue(t, authority, sigstoretest.Identity{Email: mail, Issuer: aliceIssuer})
	}
	anybody := verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectRegex(regex(t, `[a-z]+@example\.com`))}
	keyed := must[sigstoretest.Credential](t)(sigstoretest.NewKey())
	bob := verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual("bob@example.com")}
	cases := []struct {
		name    string
		by      []sigstoretest.Credential
		minimum int
		ask     []verify.Constraint
		got     int
	}{
		{"two people, one constraint", []sigstoretest.Credential{somebody("alice@example.com"), somebody("bob@example.com")}, 2, []verify.Constraint{anybody}, 2},
		{"one person twice", []sigstoretest.Credential{somebody("alice@example.com"), somebody("alice@example.com")}, 2, []verify.Constraint{anybody}, 1},
		{"one person, two constraints", []sigstoretest.Credential{somebody("bob@example.com")}, 2, []verify.Constraint{anybody, bob}, 1},
		{"a person and a key", []sigstoretest.Credential{keyed, somebody("bob@example.com")}, 2, []verify.Constraint{bob, keyOf(t, keyed, nil)}, 2},
		{"one key twice", []sigstoretest.Credential{keyed, keyed}, 2, []verify.Constraint{keyOf(t, keyed, nil), bob}, 1},
		{"nobody", nil, 1, []verify.Constraint{anybody}, 0},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := r.push(t)
			for i, c := range tc.by {
				attachBundle(t, d, makeBundle(t, authority, c, d, annotations{"n": fmt.Sprint(i)}, sigstoretest.How{}))
			}
			cfg := anyOf(tc.minimum, tc.ask...)
			cfg.AnyOf.DistinctSigners = true
			_, err := trusting(t, r, cfg, root).Verify(t.Context(), d)
			if tc.got >= tc.minimum {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := fmt.Sprintf("minimum number of signatures not reached: needed %d by distinct signers, got %d\n", tc.minimum, tc.got)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestReportOfKeylessSignatures(t *testing.T) {
	authority := newAuthority(t)
	root, r := trustRoot(t, authority), newRegistry(t)
	d, at := r.push(t), time.Now().Add(-time.Minute).Truncate(time.Second)
	workflow := sigstoretest.Workflow("alice/policy")
	s := makeLayer(t, authority, issue(t, authority, workflow), d, annotations{"env": "prod"}, sigstoretest.How{At: at})
	attachLayer(t, d, s)
	keyed := must[sigstoretest.Credential](t)(sigstoretest.NewKey())
	attachBundle(t, d, makeBundle(t, authority, keyed, d, nil, sigstoretest.How{At: at}))
	report, err := trusting(t, r, verify.Config{
		AllOf: []verify.Constraint{verify.GithubAction{Owner: "alice"}},
		AnyOf: &verify.AnyOf{MinimumMatches: 1, Signatures: []verify.Constraint{aliceAsked(nil), keyOf(t, keyed, nil)}},
	}, root).Check(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	got := report.Met[0].Signature
	want := evidence.GitHubWorkflow{
		Trigger: "push", SHA: workflow.GitHub[3], Name: "Release", Repository: "alice/policy", Ref: "refs/tags/v1",
	}
	if got.Layout != evidence.LayoutLegacy || got.Identity.Subject != workflow.URI || got.Identity.GitHub != want ||
		got.Key != "" || !got.Time.Equal(at) || got.Log.Index != s.Entry.LogIndex || got.Annotations["env"] != "prod" {
		t.Errorf("got %+v, %+v", got, got.Identity)
	}
	line := fmt.Sprintf("%s: subject %q of issuer %q, GitHub repository %q at %q, at %s, entry %d of log %x", got.Place,
		workflow.URI, workflow.Issuer, "alice/policy", "refs/tags/v1", at.UTC().Format(time.RFC3339), got.Log.Index, s.Entry.LogId.KeyId)
	if got.String() != line {
		t.Errorf("got  %s\nwant %s", got, line)
	}
	byKey := report.Met[1]
	if s := byKey.Signature; byKey.Path != "anyOf.signatures[1]" || s.Layout != evidence.LayoutBundle || s.Identity != nil ||
		s.Key != key(t, keyed.Signer, nil).Key.Fingerprint() || !s.Time.Equal(at) || s.Log == nil {
		t.Errorf("got %+v", byKey)
	}
	if len(report.Unmet) != 1 || report.Unmet[0].Path != "anyOf.signatures[0]" || len(report.Unmet[0].Rejections) != 2 {
		t.Errorf("not needed: %+v", report.Unmet)
	}
}

func TestVerifyKeyless_hammer(t *testing.T) {
	authority := newAuthority(t)
	r := newRegistry(t, withReferrers)
	d, other := r.push(t), r.push(t)
	signer := issue(t, authority, alice())
	attachLayer(t, d, makeLayer(t, authority, signer, d, nil, sigstoretest.How{}))
	attachBundle(t, d, makeBundle(t, authority, signer, d, nil, sigstoretest.How{}))
	attachBundle(t, other, makeBundle(t, authority, signer, d, nil, sigstoretest.How{}))
	v := trusting(t, r, allOf(aliceAsked(nil)), trustRoot(t, authority))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				if _, err := v.Verify(t.Context(), d); err != nil {
					t.Error(err)
				}
				if _, err := v.Verify(t.Context(), other); err == nil {
					t.Error("verified what was signed for another digest")
				}
			}
		})
	}
	group.Wait()
}
