// Package signer makes throwaway keys and real cosign signatures with them, for tests and the demo. It owns the
// writing side of what registry/verify reads: simple-signing payloads under the tag "sha256-<hex>.sig", without
// transparency log or certificate. It keeps no key anywhere but in memory, and reaches nothing but the registry.
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
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/mutate"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// Signer is one throwaway key pair. Its methods may be called by several goroutines, but two that attach signatures
// to one digest at a time may lose one of them.
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

// NewP384 returns a signer with a new ECDSA P-384 key and the hash it signs with: SHA-384, or SHA-256 as cosign does
// unless told otherwise.
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

// Sign signs d, annotations included, and adds the signature to those d has. Whether d exists is not looked at.
func (s *Signer) Sign(
	ctx context.Context, d name.Digest, annotations map[string]string, opts ...remote.Option,
) error {
	text, err := Payload(d, annotations)
	if err != nil {
		return err
	}
	signed, err := s.SignPayload(text)
	if err != nil {
		return err
	}
	return Attach(ctx, d, signed, opts...)
}

// Payload returns the bytes that cosign signs for d.
func Payload(d name.Digest, annotations map[string]string) ([]byte, error) {
	claims := payload.Cosign{Image: d}
	if len(annotations) > 0 {
		claims.Annotations = map[string]any{}
		for key, value := range annotations {
			claims.Annotations[key] = value
		}
	}
	return claims.MarshalJSON()
}

// SignPayload signs any bytes, also what no honest signer would sign.
func (s *Signer) SignPayload(text []byte) (oci.Signature, error) {
	raw, err := s.key.SignMessage(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return static.NewSignature(text, base64.StdEncoding.EncodeToString(raw))
}

// Attach adds a signature, whatever it signs, to those that d has in its registry.
func Attach(ctx context.Context, d name.Digest, signed oci.Signature, opts ...remote.Option) error {
	options := ociremote.WithRemoteOptions(append(opts[:len(opts):len(opts)], remote.WithContext(ctx))...)
	entity, err := mutate.AttachSignatureToEntity(ociremote.SignedUnknown(d, options), signed)
	if err != nil {
		return fmt.Errorf("attach a signature to %s: %w", d, err)
	}
	if err := ociremote.WriteSignatures(d.Repository, entity, options); err != nil {
		return fmt.Errorf("attach a signature to %s: %w", d, err)
	}
	return nil
}
