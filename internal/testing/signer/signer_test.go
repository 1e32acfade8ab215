package signer_test

import (
	"crypto"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"policy-server/internal/testing/signer"
)

// cosign's own verification, from reference to answer, must accept what the signer writes, and each
// of the signatures that were added one after another.
func TestSignIsAcceptedByCosign(t *testing.T) {
	cases := []struct {
		name string
		make func() (*signer.Signer, error)
		hash crypto.Hash
	}{
		{"ECDSA P-256", signer.New, crypto.SHA256},
		{"ECDSA P-384 SHA-384", func() (*signer.Signer, error) { return signer.NewP384(crypto.SHA384) }, crypto.SHA384},
		{"ECDSA P-384 SHA-256", func() (*signer.Signer, error) { return signer.NewP384(crypto.SHA256) }, crypto.SHA256},
		{"Ed25519", signer.NewEd25519, crypto.SHA256},
		{"RSA", signer.NewRSA, crypto.SHA256},
	}
	digest := pushArtifact(t)
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s, err := tc.make()
			if err != nil {
				t.Fatal(err)
			}
			key := fmt.Sprint(i)
			if err := s.Sign(t.Context(), digest, map[string]string{"case": key}); err != nil {
				t.Fatal(err)
			}
			signatures, _, err := cosign.VerifyImageSignatures(t.Context(), digest, &cosign.CheckOpts{
				SigVerifier:   verifier(t, s.PublicKeyPEM(), tc.hash),
				ClaimVerifier: cosign.SimpleClaimVerifier,
				Annotations:   map[string]any{"case": key},
				IgnoreTlog:    true,
				Offline:       true,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(signatures) != 1 {
				t.Errorf("%d signatures verified by this key, want 1", len(signatures))
			}
		})
	}
	image, err := remote.Image(digest.Context().Tag(strings.Replace(digest.DigestStr(), ":", "-", 1) + ".sig"))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != len(cases) {
		t.Errorf("%d signatures attached, want %d", len(layers), len(cases))
	}
}

func TestSignReportsTheRegistry(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	digest, err := name.NewDigest(server.Listener.Addr().String() + "/policy@sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(t.Context(), digest, nil); err == nil || !strings.Contains(err.Error(), digest.String()) {
		t.Errorf("got %v, want an error naming %s", err, digest)
	}
}

func pushArtifact(t *testing.T) name.Digest {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := name.NewDigest(server.Listener.Addr().String() + "/policy@" + hash.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(digest, image); err != nil {
		t.Fatal(err)
	}
	return digest
}

func verifier(t *testing.T, pem []byte, hash crypto.Hash) signature.Verifier {
	t.Helper()
	key, err := cryptoutils.UnmarshalPEMToPublicKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.LoadVerifier(key, hash)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
