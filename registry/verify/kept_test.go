package verify_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/internal/testing/signer"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// keeping returns a Verifier that keeps signatures in store.
func keeping(t testing.TB, r *registryServer, cfg verify.Config, trust trust.Source, store registry.Store) *verify.Verifier {
	t.Helper()
	return must[*verify.Verifier](t)(verify.New(cfg, verify.Options{Remote: r.options, Trust: trust, Store: store}))
}

// signedTwice is a digest that alice and bob signed with keys and a person signed keyless, in both
// layouts, and a store that was there when it was verified.
type signedTwice struct {
	registry   *registryServer
	digest     name.Digest
	store      registry.Store
	alice, bob *signer.Signer
	person     trust.Source
}

func newSignedTwice(t *testing.T) *signedTwice {
	t.Helper()
	s := &signedTwice{
		registry: newRegistry(t, withReferrers), store: registry.NewStore(t.TempDir()), alice: newSigner(t), bob: newSigner(t),
	}
	s.digest = s.registry.push(t)
	authority := newAuthority(t)
	s.person = trust.Given(trustRoot(t, authority))
	sign(t, s.bob, s.digest, nil)
	sign(t, s.alice, s.digest, annotations{"env": "prod"})
	attachBundle(t, s.digest, makeBundle(t, authority, issue(t, authority, alice()), s.digest, nil, sigstoretest.How{}))
	report, err := keeping(t, s.registry, allOf(key(t, s.alice, nil)), s.person, s.store).Check(t.Context(), s.digest)
	if err != nil || report.Unreachable != nil {
		t.Fatalf("with the registry: %v, %v", report.Unreachable, err)
	}
	return s
}

// TestKept holds when kept signatures count: where the registry cannot be asked, and for what they
// are.
func TestKept(t *testing.T) {
	keyOfAlice := func(t *testing.T, s *signedTwice) verify.Config { return allOf(key(t, s.alice, nil)) }
	keyless := func(*testing.T, *signedTwice) verify.Config { return allOf(aliceAsked(nil)) }
	answering := func(fragment string, status int) func(*testing.T, *signedTwice) {
		return func(_ *testing.T, s *signedTwice) { s.registry.answer = failing(fragment, status, "") }
	}
	down := func(_ *testing.T, s *signedTwice) { s.registry.close() }
	rewriting := func(change func([]byte) []byte) func(*testing.T, *signedTwice) {
		return func(t *testing.T, s *signedTwice) {
			s.rewrite(t, change)
			s.registry.close()
		}
	}
	const accepted, everything = "", "/v2/"
	for _, c := range []struct {
		name   string
		change func(*testing.T, *signedTwice)
		config func(*testing.T, *signedTwice) verify.Config
		want   string // part of the LookupError
	}{
		{"no connection", down, keyOfAlice, accepted},
		{"registry in trouble", answering(everything, http.StatusServiceUnavailable), keyOfAlice, accepted},
		{"registry asked too often", answering(everything, http.StatusTooManyRequests), keyOfAlice, accepted},
		{"bundle", down, keyless, accepted},
		{"bundle, referrers in trouble", answering("/referrers/", http.StatusBadGateway), keyless, accepted},
		{"annotations asked for", down, func(t *testing.T, s *signedTwice) verify.Config {
			return allOf(key(t, s.alice, annotations{"env": "prod"}))
		}, accepted},
		{"who did not count before", down, func(t *testing.T, s *signedTwice) verify.Config { return allOf(key(t, s.bob, nil)) }, accepted},
		{"401", answering(everything, http.StatusUnauthorized), keyOfAlice, "401"},
		{"403", answering(everything, http.StatusForbidden), keyOfAlice, "403"},
		{"signature gone, referrers in trouble", func(t *testing.T, s *signedTwice) {
			s.registry.answer = func(w http.ResponseWriter, r *http.Request) bool {
				return failing(".sig", http.StatusNotFound, "")(w, r) || failing("/referrers/", http.StatusBadGateway, "")(w, r)
			}
		}, keyOfAlice, "do not suffice: Image verification failed: missing signatures"},
		{"a stranger's key", down, func(t *testing.T, _ *signedTwice) verify.Config { return allOf(key(t, newSigner(t), nil)) }, "do not suffice: Image verification failed: missing signatures"},
		{"other annotations", down, func(t *testing.T, s *signedTwice) verify.Config {
			return allOf(key(t, s.alice, annotations{"env": "test"}))
		}, `Annotation not satisfied: "env": want "test", got "prod"`},
		{"another trust root", func(t *testing.T, s *signedTwice) {
			s.person = trust.Given(trustRoot(t, newAuthority(t)))
			s.registry.close()
		}, keyless, "certificate not issued by a trusted authority"},
		{"payloads changed", rewriting(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"content":"ey`), []byte(`"content":"ew`)) }), keyOfAlice, "invalid signature"},
		{"cut short", rewriting(func(b []byte) []byte { return b[:len(b)/2] }), keyOfAlice, "and the store cannot answer instead: its signatures of this digest are damaged: unexpected end of JSON input"},
		{"unknown layout", rewriting(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"legacy"`), []byte(`"other"`)) }), keyOfAlice, `are damaged: unknown layout "other"`},
		{"too many", rewriting(func([]byte) []byte {
			return []byte(`{"signatures":[` + strings.Repeat(`{"layout":"legacy"},`, 128) + `{"layout":"legacy"}]}`)
		}), keyOfAlice, "129 signatures, more than the limit of 128"},
		{"too large", rewriting(func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), 4<<20)...) }), keyOfAlice, "file of signatures is larger than the limit"},
		{"none kept", rewriting(func([]byte) []byte { return nil }), keyOfAlice, "it keeps no signatures of this digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSignedTwice(t)
			c.change(t, s)
			report, err := keeping(t, s.registry, c.config(t, s), s.person, s.store).Check(t.Context(), s.digest)
			if c.want == accepted {
				if err != nil || report.Unreachable == nil || !report.Digest.IsSigned() || report.Digest.Digest() != s.digest {
					t.Errorf("got %+v, %v", report, err)
				}
				return
			}
			var lookup *verify.LookupError
			if !errors.As(err, &lookup) || !strings.Contains(err.Error(), c.want) || report.Digest.Vouched() {
				t.Errorf("got %+v, %v; want a LookupError with %q", report, err, c.want)
			}
		})
	}
}

// rewrite changes what the store keeps; nil removes it.
func (s *signedTwice) rewrite(t *testing.T, change func([]byte) []byte) {
	t.Helper()
	content, err := s.store.KeptSignatures(s.digest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.KeepSignatures(s.digest, change(content)); err != nil {
		t.Fatal(err)
	}
}

// TestKept_lastWord holds that the registry's last word counts: a signature that it no longer has
// is not kept.
func TestKept_lastWord(t *testing.T) {
	s := newSignedTwice(t)
	v := keeping(t, s.registry, allOf(key(t, s.alice, nil)), s.person, s.store)
	s.registry.answer = failing("/policy/", http.StatusNotFound, "")
	var unverified *verify.UnverifiedError
	if _, err := v.Check(t.Context(), s.digest); !errors.As(err, &unverified) {
		t.Fatalf("got %v", err)
	}
	s.registry.close()
	if _, err := v.Check(t.Context(), s.digest); err == nil || !strings.Contains(err.Error(), "it keeps no signatures of this digest") {
		t.Errorf("got %v", err)
	}
}

// TestKept_copied holds that a signature kept for one digest proves nothing about another.
func TestKept_copied(t *testing.T) {
	s := newSignedTwice(t)
	content, err := s.store.KeptSignatures(s.digest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	other := s.registry.push(t)
	if err := s.store.KeepSignatures(other, content); err != nil {
		t.Fatal(err)
	}
	s.registry.close()
	_, err = keeping(t, s.registry, allOf(key(t, s.alice, nil)), s.person, s.store).Check(t.Context(), other)
	if err == nil || !strings.Contains(err.Error(), "payload is for another digest") {
		t.Errorf("got %v", err)
	}
}

// TestKept_room holds that whoever may add signatures cannot crowd out the one that counts.
func TestKept_room(t *testing.T) {
	s := newSignedTwice(t)
	d := s.registry.push(t)
	mallory := newSigner(t)
	for range 6 {
		attach(t, mallory, d, bytes.Repeat([]byte("x"), 1<<20))
	}
	sign(t, s.alice, d, nil)
	v := keeping(t, s.registry, allOf(key(t, s.alice, nil)), s.person, s.store)
	if _, err := v.Check(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if content, err := s.store.KeptSignatures(d, 4<<20); err != nil || len(content) < 1<<20 {
		t.Errorf("kept %d bytes, %v", len(content), err)
	}
	s.registry.close()
	report, err := v.Check(t.Context(), d)
	if err != nil || report.Met[0].Signature.Position != 6 {
		t.Errorf("got %+v, %v", report, err)
	}
}

// TestKept_unwritable holds that a store which cannot be written to keeps nobody from being
// verified.
func TestKept_unwritable(t *testing.T) {
	r, dir, person := newRegistry(t), t.TempDir(), newSigner(t)
	d := r.push(t)
	sign(t, person, d, nil)
	if err := os.WriteFile(dir+"/signatures", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	v := keeping(t, r, allOf(key(t, person, nil)), trust.Source{}, registry.NewStore(dir))
	if _, err := v.Check(t.Context(), d); err != nil {
		t.Error(err)
	}
}
