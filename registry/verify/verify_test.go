package verify_test

import (
	"crypto"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"policy-server/internal/testing/signer"
	"policy-server/registry/verify"
)

type annotations = map[string]string

func TestVerify(t *testing.T) {
	alice, bob, mallory := newSigner(t), newSigner(t), newSigner(t)
	r := newRegistry(t)
	another := r.push(t)
	sign(t, alice, another, nil)

	cases := []struct {
		name     string
		attach   func(t *testing.T, d name.Digest)
		config   verify.Config
		rejected string // what the error says; empty: verified
	}{{
		name:   "signed",
		attach: func(t *testing.T, d name.Digest) { sign(t, alice, d, nil) },
		config: allOf(key(t, alice, nil)),
	}, {
		name:   "annotations among more",
		attach: func(t *testing.T, d name.Digest) { sign(t, alice, d, annotations{"env": "prod", "stable": "true"}) },
		config: allOf(key(t, alice, annotations{"env": "prod"})),
	}, {
		name:   "empty annotations ask for nothing",
		attach: func(t *testing.T, d name.Digest) { sign(t, alice, d, nil) },
		config: allOf(key(t, alice, annotations{})),
	}, {
		name: "numbers and booleans by their text",
		attach: func(t *testing.T, d name.Digest) {
			attach(t, alice, d, withOptional(d, `{"count":1,"stable":true,"list":[1],"none":null}`))
		},
		config: allOf(key(t, alice, annotations{"count": "1", "stable": "true"})),
	}, {
		name: "a list is no annotation",
		attach: func(t *testing.T, d name.Digest) {
			attach(t, alice, d, withOptional(d, `{"env":["prod"]}`))
		},
		config:   allOf(key(t, alice, annotations{"env": "prod"})),
		rejected: `Annotation not satisfied: "env": want "prod", got none`,
	}, {
		name:   "optional null",
		attach: func(t *testing.T, d name.Digest) { attach(t, alice, d, withOptional(d, `null`)) },
		config: allOf(key(t, alice, nil)),
	}, {
		name: "second of two signatures",
		attach: func(t *testing.T, d name.Digest) {
			sign(t, mallory, d, nil)
			sign(t, alice, d, nil)
		},
		config: allOf(key(t, alice, nil)),
	}, {
		name: "two signers, both asked for",
		attach: func(t *testing.T, d name.Digest) {
			sign(t, alice, d, nil)
			sign(t, bob, d, nil)
		},
		config: allOf(key(t, alice, nil), key(t, bob, nil)),
	}, {
		name:     "two signers asked for, one signed",
		attach:   func(t *testing.T, d name.Digest) { sign(t, alice, d, nil) },
		config:   allOf(key(t, alice, nil), key(t, bob, nil)),
		rejected: "allOf[1]: signature 0",
	}, {
		name:   "any of two",
		attach: func(t *testing.T, d name.Digest) { sign(t, bob, d, nil) },
		config: anyOf(1, key(t, alice, nil), key(t, bob, nil)),
	}, {
		name: "two of two",
		attach: func(t *testing.T, d name.Digest) {
			sign(t, bob, d, nil)
			sign(t, alice, d, nil)
		},
		config: anyOf(2, key(t, alice, nil), key(t, bob, nil)),
	}, {
		name:     "one of two when two are needed",
		attach:   func(t *testing.T, d name.Digest) { sign(t, bob, d, nil) },
		config:   anyOf(2, key(t, alice, nil), key(t, bob, nil)),
		rejected: "minimum number of signatures not reached: needed 2, got 1",
	}, {
		name:   "allOf holds, anyOf does not",
		attach: func(t *testing.T, d name.Digest) { sign(t, alice, d, nil) },
		config: verify.Config{
			AllOf: []verify.Constraint{key(t, alice, nil)},
			AnyOf: &verify.AnyOf{MinimumMatches: 1, Signatures: []verify.Constraint{key(t, bob, nil)}},
		},
		rejected: "needed 1, got 0",
	}, {
		name:   "anyOf holds, allOf does not",
		attach: func(t *testing.T, d name.Digest) { sign(t, bob, d, nil) },
		config: verify.Config{
			AllOf: []verify.Constraint{key(t, alice, nil)},
			AnyOf: &verify.AnyOf{MinimumMatches: 1, Signatures: []verify.Constraint{key(t, bob, nil)}},
		},
		rejected: "Image verification failed: missing signatures\n",
	}, {
		name:     "unsigned",
		attach:   func(*testing.T, name.Digest) {},
		config:   allOf(key(t, alice, nil)),
		rejected: "no signatures found for image: ",
	}, {
		name:     "signed by another key",
		attach:   func(t *testing.T, d name.Digest) { sign(t, mallory, d, nil) },
		config:   allOf(key(t, alice, nil)),
		rejected: "invalid signature for key " + key(t, alice, nil).Key.Fingerprint(),
	}, {
		name: "signature copied from another artifact",
		attach: func(t *testing.T, d name.Digest) {
			attachSigned(t, d, signed(t, alice, payloadFor(t, another, nil)))
		},
		config:   allOf(key(t, alice, nil)),
		rejected: fmt.Sprintf("payload is for another digest: %q", another.DigestStr()),
	}, {
		name: "payload exchanged under a good signature",
		attach: func(t *testing.T, d name.Digest) {
			attachSigned(t, d, forged(t, alice, payloadFor(t, another, nil), payloadFor(t, d, nil)))
		},
		config:   allOf(key(t, alice, nil)),
		rejected: "invalid signature",
	}, {
		name: "annotation added to a signed payload",
		attach: func(t *testing.T, d name.Digest) {
			attachSigned(t, d, forged(t, alice, payloadFor(t, d, nil), payloadFor(t, d, annotations{"env": "prod"})))
		},
		config:   allOf(key(t, alice, annotations{"env": "prod"})),
		rejected: "invalid signature",
	}, {
		name: "annotations on the layer are not signed",
		attach: func(t *testing.T, d name.Digest) {
			payload := payloadFor(t, d, nil)
			attachSigned(t, d, forged(t, alice, payload, payload, static.WithAnnotations(annotations{"env": "prod"})))
		},
		config:   allOf(key(t, alice, annotations{"env": "prod"})),
		rejected: `Annotation not satisfied: "env": want "prod", got none`,
	}, {
		name:     "wrong and missing annotations",
		attach:   func(t *testing.T, d name.Digest) { sign(t, alice, d, annotations{"env": "test"}) },
		config:   allOf(key(t, alice, annotations{"env": "prod", "stable": "true"})),
		rejected: `Annotation not satisfied: "env": want "prod", got "test"; Annotation not satisfied: "stable": want "true", got none`,
	}, {
		name: "key and annotations on different layers",
		attach: func(t *testing.T, d name.Digest) {
			sign(t, alice, d, nil)
			sign(t, mallory, d, annotations{"env": "prod"})
		},
		config:   allOf(key(t, alice, annotations{"env": "prod"})),
		rejected: `Annotation not satisfied: "env": want "prod", got none`,
	}, {
		name:     "signed payload that is no JSON",
		attach:   func(t *testing.T, d name.Digest) { attach(t, alice, d, []byte(d.DigestStr())) },
		config:   allOf(key(t, alice, nil)),
		rejected: "payload is not simple signing JSON",
	}, {
		name:     "signed payload that names no digest",
		attach:   func(t *testing.T, d name.Digest) { attach(t, alice, d, []byte(`{}`)) },
		config:   allOf(key(t, alice, nil)),
		rejected: `payload is for another digest: ""`,
	}, {
		name: "log entry that cannot be checked",
		attach: func(t *testing.T, d name.Digest) {
			payload := payloadFor(t, d, nil)
			attachSigned(t, d, forged(t, alice, payload, payload, static.WithBundle(&bundle.RekorBundle{
				SignedEntryTimestamp: []byte("not a signature"),
				Payload:              bundle.RekorPayload{LogID: "00"},
			})))
		},
		config: allOf(key(t, alice, nil)),
	}, {
		name: "certificate that is none",
		attach: func(t *testing.T, d name.Digest) {
			payload := payloadFor(t, d, nil)
			attachSigned(t, d, forged(t, alice, payload, payload, static.WithCertChain([]byte("not PEM"), nil)))
		},
		config: allOf(key(t, alice, nil)),
	}}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := r.push(t)
			tc.attach(t, d)
			got, err := newVerifier(t, r, tc.config).Verify(t.Context(), d)
			if tc.rejected == "" {
				if err != nil || !got.IsSigned() || got.Digest() != d {
					t.Errorf("got %v, %v; want a proof for %s", got, err, d)
				}
				return
			}
			var unverified *verify.UnverifiedError
			if !errors.As(err, &unverified) || !strings.Contains(err.Error(), tc.rejected) {
				t.Errorf("got %T:\n%v\nwant an UnverifiedError with %q", err, err, tc.rejected)
			}
			if got.Vouched() {
				t.Error("a proof was made for what was rejected")
			}
		})
	}
}

// withOptional returns a payload for d with any JSON in the place of annotations.
func withOptional(d name.Digest, optional string) []byte {
	return fmt.Appendf(nil, `{"critical":{"image":{"docker-manifest-digest":%q}},"optional":%s}`, d.DigestStr(), optional)
}

func TestVerifyKeyTypes(t *testing.T) {
	must := func(s *signer.Signer, err error) *signer.Signer {
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	cases := []struct {
		name   string
		signer *signer.Signer
	}{
		{"ECDSA P-256", newSigner(t)},
		{"ECDSA P-384 with SHA-384", newP384(t, crypto.SHA384)},
		{"ECDSA P-384 with SHA-256", newP384(t, crypto.SHA256)},
		{"Ed25519", must(signer.NewEd25519())},
		{"RSA", must(signer.NewRSA())},
	}
	r := newRegistry(t)
	all := r.push(t)
	for _, tc := range cases {
		sign(t, tc.signer, all, annotations{"by": tc.name})
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			report, err := newVerifier(t, r, allOf(key(t, tc.signer, nil))).Check(t.Context(), all)
			if err != nil {
				t.Fatal(err)
			}
			if got := report.Met[0].Signature; got.Position != i || got.Annotations["by"] != tc.name {
				t.Errorf("met by signature %d with %v, want %d by %s", got.Position, got.Annotations, i, tc.name)
			}
			d := r.push(t)
			attachSigned(t, d, forged(t, tc.signer, payloadFor(t, all, nil), payloadFor(t, d, nil)))
			_, err = newVerifier(t, r, allOf(key(t, tc.signer, nil))).Check(t.Context(), d)
			if err == nil || !strings.Contains(err.Error(), "invalid signature") {
				t.Errorf("forged signature: got %v, want an invalid signature", err)
			}
		})
	}
}

func TestCheckReportsWhatMetEachConstraint(t *testing.T) {
	alice, bob, carol := newSigner(t), newSigner(t), newSigner(t)
	r := newRegistry(t)
	d := r.push(t)
	sign(t, bob, d, annotations{"env": "test"})
	sign(t, bob, d, annotations{"env": "prod"})
	sign(t, alice, d, nil)
	report, err := newVerifier(t, r, verify.Config{
		AllOf: []verify.Constraint{key(t, alice, nil)},
		AnyOf: &verify.AnyOf{MinimumMatches: 1, Signatures: []verify.Constraint{
			key(t, carol, nil), key(t, bob, annotations{"env": "prod"}),
		}},
	}).Check(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, met := range report.Met {
		s := met.Signature
		got = append(got, fmt.Sprintf("%s: %d by %s %v", met.Path, s.Position, s.Key, s.Annotations))
	}
	want := []string{
		fmt.Sprintf("allOf[0]: 2 by %s map[]", key(t, alice, nil).Key.Fingerprint()),
		fmt.Sprintf("anyOf.signatures[1]: 1 by %s map[env:prod]", key(t, bob, nil).Key.Fingerprint()),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestUnverifiedErrorText(t *testing.T) {
	alice, bob := newSigner(t), newSigner(t)
	const missing = "Image verification failed: missing signatures\n" +
		"The following constraints were not satisfied:\n"
	constraint := func(s *signer.Signer, annotations string) string {
		pem := strings.ReplaceAll(strings.TrimSpace(string(s.PublicKeyPEM())), "\n", "\n  ")
		return "kind: pubKey\nowner: null\nkey: |\n  " + pem + "\nannotations:" + annotations + "\n"
	}
	cases := []struct {
		name   string
		by     []*signer.Signer
		config verify.Config
		want   func(d name.Digest, payload string) string
		hint   string
	}{{
		name:   "unsigned",
		config: allOf(key(t, alice, nil)),
		want: func(d name.Digest, _ string) string {
			return missing + constraint(alice, " null") + "no signatures found for image: " + d.Name()
		},
		hint: "sign ",
	}, {
		name:   "annotation missing",
		by:     []*signer.Signer{alice, bob},
		config: allOf(key(t, alice, annotations{"env": "prod"})),
		want: func(_ name.Digest, payload string) string {
			return missing + constraint(alice, "\n  env: prod") +
				"allOf[0]: signature 0 (" + payload + `): Annotation not satisfied: "env": want "prod", got none` + "\n" +
				"allOf[0]: signature 1 (" + payload + "): invalid signature for key " +
				key(t, alice, nil).Key.Fingerprint() + ": invalid signature when validating ASN.1 encoded signature"
		},
		hint: "sign the module with a listed key",
	}, {
		name:   "too few of anyOf",
		by:     []*signer.Signer{alice},
		config: anyOf(2, key(t, alice, nil), key(t, bob, nil)),
		want: func(_ name.Digest, payload string) string {
			return "Image verification failed: minimum number of signatures not reached: needed 2, got 1\n" +
				"The following constraints were not satisfied:\n" + constraint(bob, " null") +
				"anyOf.signatures[1]: signature 0 (" + payload + "): invalid signature for key " +
				key(t, bob, nil).Key.Fingerprint() + ": invalid signature when validating ASN.1 encoded signature"
		},
		hint: "sign the module with a listed key",
	}}
	r := newRegistry(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := r.push(t)
			for _, s := range tc.by {
				sign(t, s, d, nil)
			}
			_, err := newVerifier(t, r, tc.config).Verify(t.Context(), d)
			var unverified *verify.UnverifiedError
			if !errors.As(err, &unverified) {
				t.Fatalf("got %v", err)
			}
			if want := tc.want(d, hashOf(t, payloadFor(t, d, nil)).String()); err.Error() != want {
				t.Errorf("got:\n%s\nwant:\n%s", err, want)
			}
			if !strings.HasPrefix(unverified.Hint(), tc.hint) {
				t.Errorf("hint: %s, want %s", unverified.Hint(), tc.hint)
			}
		})
	}
}

func TestVerify_hammer(t *testing.T) {
	alice, bob := newSigner(t), newSigner(t)
	r := newRegistry(t)
	good, bad := r.push(t), r.push(t)
	sign(t, alice, good, nil)
	sign(t, bob, bad, nil)
	v := newVerifier(t, r, allOf(key(t, alice, nil)))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 10 {
				if _, err := v.Verify(t.Context(), good); err != nil {
					t.Error(err)
				}
				if _, err := v.Verify(t.Context(), bad); err == nil {
					t.Error("verified what another key signed")
				}
			}
		})
	}
	group.Wait()
}

func TestNewRefuses(t *testing.T) {
	alice := newSigner(t)
	good := key(t, alice, nil)
	cases := []struct {
		name   string
		config verify.Config
		want   string
	}{
		{"nothing", verify.Config{}, "config is missing signatures in both allOf and anyOff list"},
		{"empty allOf", verify.Config{AllOf: []verify.Constraint{}}, "allOf: empty"},
		{"empty anyOf", anyOf(1), "anyOf.signatures: empty"},
		{"minimum left out", anyOf(0, good), "anyOf.minimumMatches: 0"},
		{"minimum beyond", anyOf(2, good), "anyOf.minimumMatches: 2"},
		{"no constraint", allOf(good, nil), "allOf[1]: missing"},
		{"no key", allOf(good, verify.PubKey{}), "allOf[1].key: empty"},
		{"no subject", allOf(verify.GenericIssuer{Issuer: "i"}), "allOf[0].subject: empty"},
		{"reserved annotation", allOf(key(t, alice, annotations{"creator": "me"})), "allOf[0].annotations.creator: reserved"},
	}
	r := newRegistry(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := verify.New(tc.config, verify.Options{Remote: r.options}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
