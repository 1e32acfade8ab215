package sign_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"

	"policy-server/internal/testing/sigstorehttp"
	"policy-server/registry/evidence"
	"policy-server/registry/sign"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

var layouts = []sign.Layout{sign.Bundle, sign.Legacy}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestSign_key holds that cosign accepts what each kind of key signs, in both layouts, in
// registries with and without a list of referrers, and only for the digest and annotations that
// were signed.
func TestSign_key(t *testing.T) {
	annotations := map[string]string{"env": "prod", "stable": "true"}
	for kind, text := range privateKeys(t) {
		key, err := sign.ParseKey(text, noPassword)
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := signature.LoadDefaultVerifier(key.GetPublicKey())
		if err != nil {
			t.Fatal(err)
		}
		for _, layout := range layouts {
			for registry, option := range map[string]ociregistry.Option{"new": ociregistry.WithReferrersSupport(true), "old": ociregistry.WithReferrersSupport(false)} {
				t.Run(strings.Join([]string{kind, string(layout), registry}, "/"), func(t *testing.T) {
					digest := published(t, option)
					receipt := signs(t, sign.Config{Key: key}, digest, layout, annotations)
					if receipt.Key != key.Fingerprint() || receipt.Identity != "" || receipt.LogIndex != nil || receipt.Timestamps != 0 {
						t.Errorf("receipt %+v", receipt)
					}
					options := cosign.CheckOpts{SigVerifier: verifier, IgnoreTlog: true, TrustedMaterial: &root.BaseTrustedMaterial{}}
					if err := accepts(t, digest, layout, options, annotations); err != nil {
						t.Error(err)
					}
					if accepts(t, digest, layout, options, map[string]string{"env": "test"}) == nil {
						t.Error("other annotations are accepted")
					}
				})
			}
		}
	}
}

// TestSign_policyServer holds that our own verification accepts what signs, once and again.
func TestSign_policyServer(t *testing.T) {
	for kind, text := range privateKeys(t) {
		t.Run(kind, func(t *testing.T) {
			key, err := sign.ParseKey(text, noPassword)
			if err != nil {
				t.Fatal(err)
			}
			public, err := key.GetPublicKeyPem()
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := evidence.ParsePublicKey([]byte(public))
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Fingerprint() != key.Fingerprint() {
				t.Errorf("%s here, %s there", key.Fingerprint(), parsed.Fingerprint())
			}
			digest := published(t)
			signs(t, sign.Config{Key: key}, digest, sign.Legacy, map[string]string{"env": "test"})
			signs(t, sign.Config{Key: key}, digest, sign.Legacy, map[string]string{"env": "prod"})
			if layers := layersOf(t, digest); len(layers) != 2 {
				t.Errorf("%d signatures, want both", len(layers))
			}
			verifier, err := verify.New(verify.Config{AllOf: []verify.Constraint{verify.PubKey{Key: parsed, Annotations: map[string]string{"env": "prod"}}}},
				verify.Options{Remote: func(ctx context.Context) []remote.Option { return []remote.Option{remote.WithContext(ctx)} }})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verifier.Check(t.Context(), digest); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSign_witnesses holds that a signature carries what its witnesses said, in both layouts, and
// that those who trust them accept it and others do not.
func TestSign_witnesses(t *testing.T) {
	services := started(t)
	trusted, strangers := trustedRoot(t, services), trustedRoot(t, started(t))
	key := newKey(t)
	verifier, err := signature.LoadDefaultVerifier(key.GetPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	keyless := sign.Config{IdentityToken: sigstorehttp.Token("alice@example.com"), FulcioURL: services.FulcioURL}
	alice := []cosign.Identity{{Issuer: sigstorehttp.Issuer, Subject: "alice@example.com"}}
	for name, c := range map[string]struct {
		signer      sign.Config
		log, stamps bool
		options     cosign.CheckOpts
	}{
		"key and log":           {sign.Config{Key: key}, true, false, cosign.CheckOpts{SigVerifier: verifier}},
		"keyless and log":       {keyless, true, false, cosign.CheckOpts{Identities: alice}},
		"keyless and time":      {keyless, false, true, cosign.CheckOpts{Identities: alice, IgnoreTlog: true, UseSignedTimestamps: true}},
		"keyless, log and time": {keyless, true, true, cosign.CheckOpts{Identities: alice, UseSignedTimestamps: true}},
	} {
		for _, layout := range layouts {
			t.Run(name+"/"+string(layout), func(t *testing.T) {
				digest := published(t)
				if c.log {
					c.signer.RekorURL = services.RekorURL
				}
				if c.stamps {
					c.signer.TimestampURL = services.TimestampURL
				}
				receipt := signs(t, c.signer, digest, layout, nil)
				if (receipt.LogIndex != nil) != c.log || (receipt.Timestamps == 1) != c.stamps {
					t.Errorf("receipt %+v", receipt)
				}
				if c.signer.Key == nil && (receipt.Identity != "alice@example.com" || receipt.Issuer != sigstorehttp.Issuer || receipt.Key != "") {
					t.Errorf("receipt %+v", receipt)
				}
				c.options.TrustedMaterial = trusted
				if err := accepts(t, digest, layout, c.options, nil); err != nil {
					t.Error(err)
				}
				if c.signer.Key == nil && c.log { // a time alone is not enough where the trust root has logs
					if err := acceptsOurs(t, services, digest); err != nil {
						t.Error(err)
					}
				}
				c.options.TrustedMaterial = strangers
				c.options.UseSignedTimestamps = false // cosign 2.6.5 panics when it trusts none of the timestamps
				if accepts(t, digest, layout, c.options, nil) == nil {
					t.Error("strangers accept it")
				}
			})
		}
	}
}

// acceptsOurs reports whether our own verification accepts that alice signed d.
func acceptsOurs(t *testing.T, services *sigstorehttp.Services, d name.Digest) error {
	t.Helper()
	document, err := services.Authority.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := trust.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	alice := verify.GenericIssuer{Issuer: sigstorehttp.Issuer, Subject: verify.SubjectEqual("alice@example.com")}
	verifier, err := verify.New(verify.Config{AllOf: []verify.Constraint{alice}}, verify.Options{
		Remote: func(ctx context.Context) []remote.Option { return []remote.Option{remote.WithContext(ctx)} },
		Trust:  trust.Given(trusted),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier.Check(t.Context(), d)
	return err
}

// TestSign_failures holds that nothing is written when a part of the signature could not be had.
func TestSign_failures(t *testing.T) {
	services, mixed := started(t), started(t)
	mixed.CertifyAnotherKey = true
	key := newKey(t)
	token := sigstorehttp.Token("alice@example.com")
	for name, c := range map[string]struct {
		cfg    sign.Config
		layout sign.Layout
		want   string
	}{
		"unknown layout":        {sign.Config{Key: key}, "attached", `"attached" is no layout; known: bundle, legacy`},
		"certificate refused":   {sign.Config{IdentityToken: "no.token", FulcioURL: services.FulcioURL, RekorURL: services.RekorURL}, sign.Bundle, "certificate authority " + services.FulcioURL + ": "},
		"another's certificate": {sign.Config{IdentityToken: token, FulcioURL: mixed.FulcioURL, TimestampURL: services.TimestampURL}, sign.Legacy, "the certificate is for another key than the one that signed"},
		"timestamps refused":    {sign.Config{Key: key, TimestampURL: services.RekorURL + "/none"}, sign.Bundle, "timestamp authority returned 404"},
		"log refused":           {sign.Config{Key: key, RekorURL: services.RekorURL + "/none"}, sign.Legacy, "transparency log " + services.RekorURL + "/none: "},
	} {
		t.Run(name, func(t *testing.T) {
			digest := published(t)
			c.cfg.Remote = func(ctx context.Context) []remote.Option { return []remote.Option{remote.WithContext(ctx)} }
			signer, err := sign.New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := signer.Sign(t.Context(), digest, c.layout, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
			if tags, err := remote.List(digest.Context()); err != nil || len(tags) != 1 {
				t.Errorf("tags %v, %v", tags, err)
			}
		})
	}
}

// TestSign_readOnly holds that somebody who may read but not push is told so, without the addresses
// of uploads.
func TestSign_readOnly(t *testing.T) {
	images := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	var readOnly atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if readOnly.Load() && r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	digest := publishedAt(t, server.Listener.Addr().String())
	readOnly.Store(true)
	for _, layout := range layouts {
		signer, err := sign.New(sign.Config{Key: newKey(t), Remote: func(ctx context.Context) []remote.Option { return []remote.Option{remote.WithContext(ctx)} }})
		if err != nil {
			t.Fatal(err)
		}
		_, err = signer.Sign(t.Context(), digest, layout, nil)
		var failed *sign.AttachError
		if !errors.As(err, &failed) || !strings.HasPrefix(failed.Hint(), `put credentials for "`+digest.RegistryStr()+`" that may push`) || !strings.HasPrefix(err.Error(), "attach a signature to "+digest.Name()+": ") {
			t.Errorf("%s: got %v", layout, err)
		}
	}
}

func TestNew(t *testing.T) {
	key := newKey(t)
	for want, cfg := range map[string]sign.Config{
		"nobody signs": {FulcioURL: "https://fulcio.test"},
		"not both":     {Key: key, IdentityToken: "a.b.c"},
		"an identity token needs the certificate authority":                  {IdentityToken: "a.b.c", RekorURL: "https://rekor.test"},
		"a keyless signature needs a transparency log or a timestamp author": {IdentityToken: "a.b.c", FulcioURL: "https://fulcio.test"},
	} {
		if _, err := sign.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", cfg, err, want)
		}
	}
}
