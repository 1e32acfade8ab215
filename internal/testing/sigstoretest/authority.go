// Package sigstoretest is a throwaway Sigstore for tests: a certificate authority, transparency
// logs in both versions, a certificate transparency log, a timestamp authority and a TUF
// repository, all keys in memory and nothing over the network. It makes honest signatures in both
// layouts (simple-signing layers, bundles); each part of one is a field that a test can exchange to
// make a forged one. It does not verify anything.
package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Authority is everything that stands behind a trust root. It may sign for one goroutine at a time.
type Authority struct {
	root         *x509.Certificate
	intermediate issuer
	stamper      issuer // the leaf of the timestamp authority
	ct           *ecdsa.PrivateKey
	rekorV1      *transparencyLog
	rekorV2      *transparencyLog
	since        time.Time // when everything here became valid
}

// issuer is a certificate with its key.
type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// lifetime is how long an Authority has been there already, and for how long it stays: tests sign
// in the past.
const lifetime = 365 * 24 * time.Hour

// New returns an Authority with new keys.
func New() (*Authority, error) {
	a := &Authority{since: time.Now().Add(-lifetime)}
	top, err := a.certify(issuer{}, x509.ExtKeyUsageAny, "root")
	if err != nil {
		return nil, err
	}
	a.root = top.certificate
	if a.intermediate, err = a.certify(top, x509.ExtKeyUsageCodeSigning, "intermediate"); err != nil {
		return nil, err
	}
	if a.stamper, err = a.certify(top, x509.ExtKeyUsageTimeStamping, "timestamp authority"); err != nil {
		return nil, err
	}
	if a.ct, err = newKey(); err != nil {
		return nil, err
	}
	v1, err := newKey()
	if err != nil {
		return nil, err
	}
	a.rekorV1 = newLog(v1, "rekor.test")
	_, v2, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	a.rekorV2 = newLog(v2, "log2.rekor.test")
	return a, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// certify returns a certificate of the authority itself, signed by parent, or by itself when there
// is none.
func (a *Authority) certify(parent issuer, usage x509.ExtKeyUsage, name string) (issuer, error) {
	key, err := newKey()
	if err != nil {
		return issuer{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: name, Organization: []string{"sigstore.test"}},
		NotBefore:             a.since,
		NotAfter:              a.since.Add(2 * lifetime),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{usage},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	switch usage {
	case x509.ExtKeyUsageAny:
		template.ExtKeyUsage = nil
		parent = issuer{certificate: template, key: key}
	case x509.ExtKeyUsageTimeStamping:
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = false, x509.KeyUsageDigitalSignature, nil
		template.ExtraExtensions = []pkix.Extension{timestampingOnly}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.certificate, key.Public(), parent.key)
	if err != nil {
		return issuer{}, fmt.Errorf("%s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	return issuer{certificate: certificate, key: key}, err
}

// timestampingOnly is the extended key usage as RFC 3161 wants it: critical, which crypto/x509 does
// not write.
var timestampingOnly = pkix.Extension{
	Id: []int{2, 5, 29, 37}, Critical: true,
	Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08}, // id-kp-timeStamping alone
}

func newSerial() *big.Int {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return serial
}

// Part is something a trust root may lack.
type Part int

// The parts of a trust root.
const (
	CertificateAuthority Part = iota
	CTLog
	Logs
	TimestampAuthority
)

// TrustedRoot returns the trust root as JSON (trusted_root.json), without the parts named.
func (a *Authority) TrustedRoot(without ...Part) ([]byte, error) {
	return TrustedRoot(a, a, without...)
}

// TrustedRoot returns a trust root made of the certificate authority of one Authority and
// everything else of another.
func TrustedRoot(certificates, others *Authority, without ...Part) ([]byte, error) {
	lacks := map[Part]bool{}
	for _, part := range without {
		lacks[part] = true
	}
	var authorities []root.CertificateAuthority
	if !lacks[CertificateAuthority] {
		authorities = append(authorities, &root.FulcioCertificateAuthority{
			Root: certificates.root, Intermediates: []*x509.Certificate{certificates.intermediate.certificate},
			ValidityPeriodStart: certificates.since, URI: "https://fulcio.test",
		})
	}
	logs, ctLogs := map[string]*root.TransparencyLog{}, map[string]*root.TransparencyLog{}
	if !lacks[Logs] {
		others.rekorV1.addTo(logs, others.since)
		others.rekorV2.addTo(logs, others.since)
	}
	if !lacks[CTLog] {
		newLog(others.ct, "ct.test").addTo(ctLogs, others.since)
	}
	var stampers []root.TimestampingAuthority
	if !lacks[TimestampAuthority] {
		stampers = append(stampers, &root.SigstoreTimestampingAuthority{
			Root: others.root, Leaf: others.stamper.certificate, ValidityPeriodStart: others.since, URI: "https://tsa.test",
		})
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, authorities, ctLogs, stampers, logs)
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// ClientTrustConfig returns the trust root as operators are given it: one document with a signing
// config beside it.
func (a *Authority) ClientTrustConfig() ([]byte, error) {
	trusted, err := a.TrustedRoot()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"mediaType":     "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
		"trustedRoot":   json.RawMessage(trusted),
		"signingConfig": map[string]any{},
	})
}

// keyID is what RFC 6962 calls a log's ID: the SHA-256 of its public key.
func keyID(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // only keys made here come here
	}
	sum := sha256.Sum256(der)
	return sum[:]
}

func (l *transparencyLog) addTo(logs map[string]*root.TransparencyLog, since time.Time) {
	logs[hex.EncodeToString(l.id)] = &root.TransparencyLog{
		BaseURL: "https://" + l.origin, ID: l.id, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		PublicKey: l.key.Public(), ValidityPeriodStart: since,
	}
}
