package verify

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// Certificate asks for a signature made with the key of a certificate that is given, not with one
// that a Sigstore issued. Beyond Kubewarden, which has it for images only.
type Certificate struct {
	Leaf CertificateFile
	// Chain lists certificates of which one must have issued Leaf, which must then be valid now.
	// Without any, Leaf is trusted as it is.
	Chain CertificateFile
	// AllowUnlogged does without a transparency log. Otherwise the signature must have been logged
	// while Leaf was valid, which needs a trust root.
	AllowUnlogged bool
	Annotations   map[string]string // as in PubKey
}

// CertificateFile is one or several certificates as PEM. The zero value holds none.
type CertificateFile struct {
	pem          string
	certificates []*x509.Certificate
}

// ParseCertificates reads the PEM blocks of text, all of which must be certificates, and at least
// one.
func ParseCertificates(text []byte) (CertificateFile, error) {
	f := CertificateFile{pem: string(text)}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return CertificateFile{}, fmt.Errorf("PEM block %q; want %q", block.Type, "CERTIFICATE")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return CertificateFile{}, fmt.Errorf("not a certificate: %w", err)
		}
		f.certificates = append(f.certificates, c)
	}
	if len(f.certificates) == 0 {
		return CertificateFile{}, errors.New("no PEM block; want -----BEGIN CERTIFICATE-----")
	}
	return f, nil
}

func readCertificate(m document.Mapping) Constraint {
	c := Certificate{Annotations: m.Optional("annotations").TextMap(), AllowUnlogged: !m.Optional("requireRekorBundle").Truth(true)}
	read := func(v document.Value) CertificateFile {
		text := v.Text()
		if text == "" {
			return CertificateFile{}
		}
		f, err := ParseCertificates([]byte(text))
		if err != nil {
			v.Fault("%v", err)
		}
		return f
	}
	c.Leaf, c.Chain = read(m.Required("certificate")), read(m.Optional("certificateChain"))
	return c
}

func (c Certificate) check(path string, found *document.Faults) {
	at := path + ".certificate"
	switch n := len(c.Leaf.certificates); n {
	case 0:
		found.Add(at, "empty")
	case 1:
		c.checkLeaf(at, found)
	default:
		found.Add(at, "%d certificates; want one, and its issuers under certificateChain", n)
	}
	checkAnnotations(path, c.Annotations, found)
}

// checkLeaf reports a certificate that is not for signing code, or names no subject.
func (c Certificate) checkLeaf(at string, found *document.Faults) {
	leaf := c.leaf()
	signs := leaf.KeyUsage&x509.KeyUsageDigitalSignature != 0
	if !signs || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		found.Add(at, "not for signing code: want key usage digitalSignature and extended key usage codeSigning")
	}
	if len(leaf.EmailAddresses)+len(leaf.URIs)+len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		found.Add(at, "no subject alternative name")
	}
	if _, err := evidence.NewPublicKey(leaf.PublicKey); err != nil {
		found.Add(at, "%v", err)
	}
}

func (c Certificate) leaf() *x509.Certificate { return c.Leaf.certificates[0] }

func (c Certificate) need() need {
	if c.AllowUnlogged {
		return needNot
	}
	return needRoot
}

// String returns the constraint as YAML.
func (c Certificate) String() string {
	return printEntry(kindCertificate, printed{"certificate", printText(c.Leaf.pem)},
		printed{"certificateChain", printOptional(c.Chain.pem)},
		printed{"requireRekorBundle", document.NewTruth(!c.AllowUnlogged)}, printAnnotations(c.Annotations))
}

func (c Certificate) match(ctx context.Context, in evidence.Inspection, s *evidence.Candidate) (evidence.Signature, error) {
	if err := c.trusted(time.Now()); err != nil {
		return evidence.Signature{}, err
	}
	key, err := evidence.NewPublicKey(c.leaf().PublicKey)
	if err != nil {
		return evidence.Signature{}, err
	}
	signed, claims, err := in.ByKey(ctx, key, s)
	if err != nil {
		return evidence.Signature{}, err
	}
	switch {
	case signed.Log == nil && !c.AllowUnlogged:
		return evidence.Signature{}, fmt.Errorf("%w: no entry", evidence.ErrNotLogged)
	case signed.Log != nil:
		if signed.Time, err = in.SigningTime(s, signed.Log, c.leaf()); err != nil {
			return evidence.Signature{}, err
		}
	}
	return signed, claims.Hold(c.Annotations)
}

// trusted checks the certificate itself.
func (c Certificate) trusted(now time.Time) error {
	leaf := c.leaf()
	if now.Before(leaf.NotBefore) {
		return fmt.Errorf("%w: valid from %s", evidence.ErrNotYetValid, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if len(c.Chain.certificates) == 0 {
		return nil
	}
	issuers := x509.NewCertPool()
	for _, issuer := range c.Chain.certificates {
		issuers.AddCert(issuer)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: issuers, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", evidence.ErrUntrustedCertificate, err)
	}
	return nil
}
