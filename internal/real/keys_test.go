package real

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keyPair is a key in two files, PEM-encoded, and in the form the services' own config files want.
type keyPair struct {
	private, public string // paths
	signer          crypto.Signer
}

func newECDSA(t *testing.T) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return writeKey(t, key)
}

func newEd25519(t *testing.T) keyPair {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return writeKey(t, key)
}

func writeKey(t *testing.T, key crypto.Signer) keyPair {
	t.Helper()
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	return keyPair{
		private: writePEM(t, filepath.Join(folder, "key.pem"), "PRIVATE KEY", private),
		public:  writePEM(t, filepath.Join(folder, "key.pub"), "PUBLIC KEY", public),
		signer:  key,
	}
}

// escaped returns the key pair's DER forms as a text proto spells bytes.
func (k keyPair) escaped(t *testing.T) (private, public string) {
	t.Helper()
	key, ok := k.signer.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("key is %T", k.signer)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return escape(der), escape(spki)
}

func escape(der []byte) string {
	var text strings.Builder
	for _, b := range der {
		fmt.Fprintf(&text, `\x%02x`, b)
	}
	return text.String()
}

// authority returns the path of a self-signed certificate of key that may issue leaves.
func authority(t *testing.T, key keyPair) string {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{Organization: []string{"throwaway"}, CommonName: "throwaway"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.signer.Public(), key.signer)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, filepath.Join(t.TempDir(), "ca.pem"), "CERTIFICATE", der)
}

func writePEM(t *testing.T, path, label string, der []byte) string {
	t.Helper()
	return write(t, path, pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
