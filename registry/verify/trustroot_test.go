package verify_test

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/oci"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// snakeCase spells the names of a document the other legal way.
func snakeCase(document string) string {
	names := regexp.MustCompile(`"[a-z]+[A-Z][A-Za-z]*":`)
	upper := regexp.MustCompile(`[A-Z]`)
	return names.ReplaceAllStringFunc(document, func(name string) string {
		return upper.ReplaceAllStringFunc(name, func(letter string) string { return "_" + strings.ToLower(letter) })
	})
}

// edited returns a JSON object with some members replaced, nil ones removed.
func edited(t testing.TB, document []byte, members map[string]any) string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(document, &object); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		if object[name] = value; value == nil {
			delete(object, name)
		}
	}
	return string(must[[]byte](t)(json.Marshal(object)))
}

func TestParseTrustRoot(t *testing.T) {
	authority := newAuthority(t)
	bare := must[[]byte](t)(authority.TrustedRoot())
	config := must[[]byte](t)(authority.ClientTrustConfig())
	withoutCA := must[[]byte](t)(authority.TrustedRoot(sigstoretest.CertificateAuthority))
	cases := []struct{ name, document, refused string }{
		{"ClientTrustConfig", string(config), ""},
		{"ClientTrustConfig in snake_case", snakeCase(string(config)), ""},
		{"ClientTrustConfig without media type", edited(t, config, map[string]any{"mediaType": nil}), ""},
		{"ClientTrustConfig with fields of tomorrow", edited(t, config, map[string]any{"new": 1, "signingConfig": map[string]any{"x": 1}}), ""},
		{"trusted root", string(bare), ""},
		{"trusted root in snake_case", snakeCase(string(bare)), ""},
		{"trusted root without media type", edited(t, bare, map[string]any{"mediaType": nil}), ""},
		{"trusted root of the other spelling", edited(t, bare, map[string]any{"mediaType": "application/vnd.dev.sigstore.trustedroot.v0.1+json"}), ""},
		{"trusted root with fields of tomorrow", edited(t, bare, map[string]any{"new": []int{1}}), ""},
		{"trusted root of another version", edited(t, bare, map[string]any{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=9"}), "unsupported TrustedRoot media type"},
		{"no certificate authority", string(withoutCA), "Fulcio certificates not found"},
		{"empty certificate authority", edited(t, bare, map[string]any{"certificateAuthorities": []any{map[string]any{}}}), "missing cert chain"},
		{"field of another type", edited(t, bare, map[string]any{"tlogs": 7}), "unexpected token"},
		{"nothing", `{}`, "missing trusted_root field"},
		{"null", `{"trustedRoot":null}`, "missing trusted_root field"},
		{"signing config alone", `{"mediaType":"application/vnd.dev.sigstore.clienttrustconfig.v0.1+json","signingConfig":{}}`, "missing trusted_root field"},
		{"list", `[]`, "not a JSON object"},
		{"not JSON", `hello`, "not a JSON object"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			root, err := trust.Parse([]byte(tc.document))
			if tc.refused == "" {
				if err != nil || root == nil {
					t.Errorf("got %v, %v", root, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("got %v, want %q", err, tc.refused)
			}
			if missing := errors.Is(err, trust.ErrNoRoot); missing != strings.Contains(tc.refused, "missing trusted_root") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What a trust root lacks cannot be proven with it.
func TestTrustRootWithout(t *testing.T) {
	authority, mallory := newAuthority(t), newAuthority(t)
	both := func(certificates, others *sigstoretest.Authority, without ...sigstoretest.Part) *trust.Root {
		return parseTrustRoot(t, must[[]byte](t)(sigstoretest.TrustedRoot(certificates, others, without...)))
	}
	unlogged := alice()
	unlogged.NotLogged = true
	cases := []struct {
		name string
		id   sigstoretest.Identity
		how  sigstoretest.How
		root *trust.Root
		want error
	}{
		{"everything", alice(), sigstoretest.How{Timestamped: true}, both(authority, authority), nil},
		{"another certificate authority", alice(), sigstoretest.How{}, both(mallory, authority), evidence.ErrUntrustedCertificate},
		{"other logs", alice(), sigstoretest.How{}, both(authority, mallory), evidence.ErrNotLogged},
		{"no logs", alice(), sigstoretest.How{Timestamped: true}, both(authority, authority, sigstoretest.Logs), evidence.ErrNotLogged},
		{"no certificate log: none is demanded", unlogged, sigstoretest.How{}, both(authority, authority, sigstoretest.CTLog), nil},
		{"no timestamp authority: the log's time does", alice(), sigstoretest.How{Timestamped: true}, both(authority, authority, sigstoretest.TimestampAuthority), nil},
		{
			"no timestamp authority: the second log has no time", alice(), sigstoretest.How{Log: sigstoretest.RekorV2, Timestamped: true},
			both(authority, authority, sigstoretest.TimestampAuthority), evidence.ErrNoTime,
		},
	}
	r := newRegistry(t)
	asked := allOf(verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual(aliceSubject)})
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := r.push(t)
			attachBundle(t, d, makeBundle(t, authority, issue(t, authority, tc.id), d, nil, tc.how))
			_, err := trusting(t, r, asked, tc.root).Verify(t.Context(), d)
			if reason := reasonOf(t, err); !errors.Is(reason, tc.want) {
				t.Errorf("got %v, want %v", reason, tc.want)
			}
		})
	}
}

// FuzzParseTrustRoot: what is accepted can be used, and nothing else happens than being refused.
func FuzzParseTrustRoot(f *testing.F) {
	authority := newAuthority(f)
	bare := must[[]byte](f)(authority.TrustedRoot())
	f.Add(bare)
	f.Add(must[[]byte](f)(authority.ClientTrustConfig()))
	f.Add([]byte(snakeCase(string(bare))))
	f.Add([]byte(edited(f, bare, map[string]any{"timestampAuthorities": []any{map[string]any{"certChain": map[string]any{}}}})))
	f.Add([]byte(`{"trusted_root":{"certificate_authorities":[{"cert_chain":{"certificates":[{}]}}]}}`))
	f.Add([]byte(`{"trustedRoot":{"tlogs":[{"hashAlgorithm":"SHA2_256","publicKey":{"rawBytes":""},"logId":{"keyId":""}}]}}`))
	credential := issue(f, authority, alice())
	digest := fuzzName(f)
	signature := must[*sigstoretest.Signature](f)(authority.SignPayload(credential, payloadFor(f, digest, nil), sigstoretest.How{}))
	layer := must[oci.Signature](f)(signature.Layer())
	served := cannedRegistry{manifest: signatureManifest(f, layer), blob: signature.Payload}
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := trust.Parse(data)
		if err != nil {
			return
		}
		v, err := verify.New(
			allOf(verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual(aliceSubject)}),
			verify.Options{Remote: served.options, Trust: trust.Given(root)},
		)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = v.Verify(t.Context(), digest)
	})
}
