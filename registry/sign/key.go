package sign

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Key is a private key that signs. It may be shared by goroutines, and prints as its fingerprint.
type Key struct {
	signer    crypto.Signer
	spki      []byte // the public key
	algorithm signature.AlgorithmDetails
}

// Password returns the password of a private key. It is asked for only when the key is encrypted.
type Password func() ([]byte, error)

// GenerateKeyPair makes an ECDSA P-256 key pair as cosign does, the private key encrypted with
// password, which may be empty. Both are PEM.
func GenerateKeyPair(password []byte) (private, public []byte, err error) {
	return cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), given(password).ask)
}

// given is a password somebody gave. To sigstore a nil one would mean that there is none, not that
// it is empty.
type given []byte

func (g given) ask(bool) ([]byte, error) { return append([]byte{}, g...), nil }

// ErrPassword is why an encrypted key cannot be read: it has another password, or the file is
// damaged.
var ErrPassword = errors.New("the password does not open the private key")

// ParseKey reads the first PEM block of text as a private key: encrypted by cosign, PKCS #8
// (encrypted or not), SEC 1 or PKCS #1. Legal keys, and what they sign with, are those
// registry/verify knows:
//
//	ECDSA P-256   SHA-256
//	ECDSA P-384   SHA-384
//	Ed25519       the payload itself
//	RSA           PKCS #1 v1.5 with SHA-256; 2048, 3072 or 4096 bits
//
// Errors say nothing of the key's content. They wrap ErrPassword when the key is encrypted and the
// password does not open it.
func ParseKey(text []byte, password Password) (*Key, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("no PEM block; want a private key")
	case strings.Contains(block.Type, "PUBLIC"), block.Type == "CERTIFICATE":
		return nil, fmt.Errorf("PEM block %q; want a private key", block.Type)
	}
	tried := false
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(text, func(confirm bool) ([]byte, error) {
		typed, err := password()
		if err != nil {
			return nil, err
		}
		tried = true
		return given(typed).ask(confirm)
	})
	switch {
	case err != nil && tried:
		return nil, fmt.Errorf("%w: %w", ErrPassword, err)
	case err != nil:
		return nil, fmt.Errorf("private key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key type %T does not sign", private)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	algorithm, err := signature.GetDefaultAlgorithmDetails(signer.Public())
	if err != nil || algorithm.GetSignatureAlgorithm() == protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512 {
		return nil, errors.New("the private key is of a kind that is not supported; use ECDSA P-256 or P-384, Ed25519, or RSA of 2048, 3072 or 4096 bits")
	}
	return &Key{signer, spki, algorithm}, nil
}

// Fingerprint returns the SHA-256 of the public key's DER encoding (SubjectPublicKeyInfo) as
// "sha256:" and hex digits.
func (k *Key) Fingerprint() string {
	sum := sha256.Sum256(k.spki)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// String returns the fingerprint, so that no log holds the key.
func (k *Key) String() string { return k.Fingerprint() }

// The methods below are sigstore's interface to a key pair.

// GetHashAlgorithm returns what a message is hashed with.
func (k *Key) GetHashAlgorithm() protocommon.HashAlgorithm { return k.algorithm.GetProtoHashType() }

// GetSigningAlgorithm returns what it is signed with.
func (k *Key) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	return k.algorithm.GetSignatureAlgorithm()
}

// GetHint returns how a bundle names the key: the SHA-256 of its public key, in base64.
func (k *Key) GetHint() []byte {
	sum := sha256.Sum256(k.spki)
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// GetKeyAlgorithm returns the name of the algorithm, of which only Fulcio asks: a key of ours is
// never certified.
func (k *Key) GetKeyAlgorithm() string { return "" }

// GetPublicKey returns the public key.
func (k *Key) GetPublicKey() crypto.PublicKey { return k.signer.Public() }

// GetPublicKeyPem returns the public key as a PEM block.
func (k *Key) GetPublicKeyPem() (string, error) {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.spki})), nil
}

// SignData returns the signature of data and what was signed of it: its hash, or, for Ed25519, data
// itself.
func (k *Key) SignData(_ context.Context, data []byte) (signed, digest []byte, err error) {
	hash := k.algorithm.GetHashType()
	digest = data
	if hash != crypto.Hash(0) {
		hasher := hash.New()
		hasher.Write(data)
		digest = hasher.Sum(nil)
	}
	signed, err = k.signer.Sign(rand.Reader, digest, hash)
	return signed, digest, err
}
