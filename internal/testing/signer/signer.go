// Package signer makes throwaway keys and real cosign signatures with them, for tests and the demo:
// in the legacy layout, without transparency log or certificate, and over anything, also what
// registry/sign would never sign. It keeps no key anywhere but in memory, and reaches nothing but
// the registry.
package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"policy-server/registry/sign"
)

// Signer is one throwaway key pair. Its methods may be called by several goroutines, but two that
// attach signatures to one digest at a time may lose one of them.
type Signer struct {
	key       signature.Signer
	publicKey []byte
}

// New returns a signer with a new ECDSA P-256 key, what cosign makes.
func New() (*Signer, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return load(private, crypto.SHA256)
}

// NewP384 returns a signer with a new ECDSA P-384 key and the hash it signs with: SHA-384, or
// SHA-256 as cosign does unless told otherwise.
func NewP384(hash crypto.Hash) (*Signer, error) {
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return load(private, hash)
}

// NewEd25519 returns a signer with a new Ed25519 key.
func NewEd25519() (*Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return load(private, crypto.SHA256) // the hash is not used
}

// NewRSA returns a signer with a new RSA key of 2048 bits, signing PKCS #1 v1.5 with SHA-256.
func NewRSA() (*Signer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return load(private, crypto.SHA256)
}

func load(private crypto.Signer, hash crypto.Hash) (*Signer, error) {
	key, err := signature.LoadSigner(private, hash)
	if err != nil {
		return nil, err
	}
	publicKey, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, publicKey: publicKey}, nil
}

// PublicKeyPEM returns the public key as a PEM block "PUBLIC KEY", ready for a verification config.
func (s *Signer) PublicKeyPEM() []byte { return bytes.Clone(s.publicKey) }

// Sign signs d, annotations included, and adds the signature to those d has. Whether d exists is
// not looked at.
func (s *Signer) Sign(
	ctx context.Context, d name.Digest, annotations map[string]string, opts ...remote.Option,
) error {
	text, err := sign.Claims(d, annotations)
	if err != nil {
		return err
	}
	signed, err := s.SignPayload(text)
	if err != nil {
		return err
	}
	return sign.AttachLayer(ctx, d, signed, opts...)
}

// SignPayload signs any bytes, also what no honest signer would sign.
func (s *Signer) SignPayload(text []byte) (oci.Signature, error) {
	raw, err := s.key.SignMessage(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return static.NewSignature(text, base64.StdEncoding.EncodeToString(raw))
}
