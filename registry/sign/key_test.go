package sign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"policy-server/registry/sign"
)

func noPassword() ([]byte, error) { return nil, errors.New("nobody should ask") }

func password(text string) sign.Password {
	return func() ([]byte, error) { return []byte(text), nil }
}

func pkcs8(t *testing.T, key crypto.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func newKey(t *testing.T) *sign.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.ParseKey(pkcs8(t, private), noPassword)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// privateKeys returns a key of each kind that signs, not encrypted.
func privateKeys(t *testing.T) map[string][]byte {
	t.Helper()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"P-256":       pkcs8(t, p256),
		"P-384":       pkcs8(t, p384),
		"Ed25519":     pkcs8(t, edwards),
		"RSA":         pkcs8(t, rsaKey),
		"P-256 SEC 1": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}),
		"RSA PKCS #1": pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}),
	}
}

// TestGenerateKeyPair holds that cosign can use our keys. Deriving a key from a password takes its
// time, so this is done as seldom as can be.
func TestGenerateKeyPair(t *testing.T) {
	private, public, err := sign.GenerateKeyPair([]byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cosign.LoadPrivateKey(private, []byte("a secret"), nil); err != nil {
		t.Errorf("cosign: %v", err)
	}
	wantKey(t, private, "a secret", public)
	if private, public, err = sign.GenerateKeyPair(nil); err != nil || !bytes.Contains(private, []byte("ENCRYPTED")) {
		t.Fatalf("without a password: %v, %s", err, private)
	}
	wantKey(t, private, "", public)
}

// TestParseKey_cosign holds that we can use cosign's keys, those of its first version as well.
func TestParseKey_cosign(t *testing.T) {
	theirs, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("a secret"), nil })
	if err != nil {
		t.Fatal(err)
	}
	wantKey(t, theirs.PrivateBytes, "a secret", theirs.PublicBytes)
	wantKey(t, bytes.ReplaceAll(theirs.PrivateBytes, []byte("ENCRYPTED SIGSTORE"), []byte("ENCRYPTED COSIGN")), "a secret", theirs.PublicBytes)
}

func wantKey(t *testing.T, private []byte, secret string, public []byte) {
	t.Helper()
	key, err := sign.ParseKey(private, password(secret))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := key.GetPublicKeyPem(); err != nil || got != string(public) {
		t.Errorf("got %s, %v; want %s", got, err, public)
	}
}

func TestParseKey_errors(t *testing.T) {
	encrypted, public, err := sign.GenerateKeyPair([]byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const unsupported = "use ECDSA P-256 or P-384, Ed25519, or RSA of 2048, 3072 or 4096 bits"
	for name, c := range map[string]struct {
		text     []byte
		password sign.Password
		want     string
	}{
		"empty":          {nil, noPassword, "no PEM block"},
		"public key":     {public, noPassword, `PEM block "PUBLIC KEY"; want a private key`},
		"wrong password": {encrypted, password("another"), "the password does not open the private key: encrypted: decryption failed"},
		"nobody asked":   {encrypted, noPassword, "nobody should ask"},
		"RSA 1024":       {pkcs8(t, weak), noPassword, unsupported},
		"P-521":          {pkcs8(t, p521), noPassword, unsupported},
		"damaged":        {pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret stuff")}), noPassword, "private key: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sign.ParseKey(c.text, c.password)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret stuff") {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestKey_String holds that a key that ends up in a log is not printed.
func TestKey_String(t *testing.T) {
	key := newKey(t)
	for _, format := range []string{"%v", "%s", "%+v"} {
		if got := fmt.Sprintf(format, key); got != key.Fingerprint() {
			t.Errorf("%s: %s", format, got)
		}
	}
}

// FuzzParseKey holds that a key that is read signs, and that nobody is asked for the password of
// one that is not encrypted.
func FuzzParseKey(f *testing.F) {
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(private)
	f.Add(public)
	f.Add([]byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := sign.ParseKey(text, noPassword)
		if err != nil {
			return
		}
		if _, _, err := key.SignData(t.Context(), []byte("hello")); err != nil {
			t.Error(err)
		}
	})
}
