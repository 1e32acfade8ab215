package evidence

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature"
)

const pemLabel = "PUBLIC KEY"

// PublicKey is a key that signatures are checked with. The zero value checks nothing and is refused
// in a Config. It is immutable and may be shared by goroutines.
type PublicKey struct {
	pem         string // as it was written; reports print it
	public      crypto.PublicKey
	fingerprint string               // see Fingerprint
	verifiers   []signature.Verifier // one for each hash the key may have been used with; any may accept
}

// ParsePublicKey reads the first PEM block of text, whatever its label, as a PKIX public key. Legal
// keys, and what they sign with:
//
//	ECDSA P-256   SHA-256
//	ECDSA P-384   SHA-384, or SHA-256 as cosign does by default
//	Ed25519       the payload itself
//	RSA           PKCS #1 v1.5 with SHA-256, 2048 bits or more
func ParsePublicKey(text []byte) (PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return PublicKey{}, fmt.Errorf("no PEM block; want -----BEGIN %s-----", pemLabel)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	switch {
	case err != nil && block.Type != pemLabel:
		// Nothing of the content: somebody may have pasted a private key.
		return PublicKey{}, fmt.Errorf("PEM block %q; want %q", block.Type, pemLabel)
	case err != nil:
		return PublicKey{}, fmt.Errorf("not a public key: %w", err)
	}
	key, err := NewPublicKey(pub)
	key.pem = string(text)
	return key, err
}

// NewPublicKey is ParsePublicKey for a key that was read already.
func NewPublicKey(pub crypto.PublicKey) (PublicKey, error) {
	hashes, err := hashesFor(pub)
	if err != nil {
		return PublicKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return PublicKey{}, err
	}
	key := PublicKey{public: pub, fingerprint: fingerprint(der)}
	for _, hash := range hashes {
		verifier, err := signature.LoadVerifier(pub, hash)
		if err != nil {
			return PublicKey{}, fmt.Errorf("key %s: %w", key.fingerprint, err)
		}
		key.verifiers = append(key.verifiers, verifier)
	}
	return key, nil
}

// hashesFor returns the hashes pub may sign with. Ed25519 takes none, and ignores the one it is
// given.
func hashesFor(pub crypto.PublicKey) ([]crypto.Hash, error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return []crypto.Hash{crypto.SHA256}, nil
		case elliptic.P384():
			return []crypto.Hash{crypto.SHA384, crypto.SHA256}, nil
		}
		return nil, fmt.Errorf("ECDSA curve %s is not supported; use P-256 or P-384", pub.Params().Name)
	case ed25519.PublicKey:
		return []crypto.Hash{crypto.SHA256}, nil
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < 2048 {
			return nil, fmt.Errorf("RSA key of %d bits is too weak; use 2048 or more", bits)
		}
		return []crypto.Hash{crypto.SHA256}, nil
	}
	return nil, fmt.Errorf("key type %T is not supported; use ECDSA P-256 or P-384, Ed25519 or RSA", pub)
}

func fingerprint(spki []byte) string {
	sum := sha256.Sum256(spki)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Fingerprint returns the SHA-256 of the key's DER encoding (SubjectPublicKeyInfo) as "sha256:" and
// hex digits. Unlike the PEM text it is the same for every spelling of one key.
func (k PublicKey) Fingerprint() string { return k.fingerprint }

// IsZero reports whether the key is the zero value.
func (k PublicKey) IsZero() bool { return len(k.verifiers) == 0 }

// PEM returns the key as it was written; "" for one that was not parsed.
func (k PublicKey) PEM() string { return k.pem }
