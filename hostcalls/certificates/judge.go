package certificates

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Judging costs time that no deadline interrupts, so what is judged is bounded: real certificates
// are below 10 KB, real chains below ten, and the longest RSA key anybody's TLS takes has 8192
// bits.
const (
	maxCertificateBytes = 64 << 10
	maxChain            = 32
	minRSABits          = 2048
	maxRSABits          = 8192
)

// The reasons a guest reads, word for word those it knows.
const (
	reasonExpired     = "Certificate is being used after its expiration date"
	reasonNotYetValid = "Certificate is being used before its validity date"
	reasonUntrusted   = "Certificate is not trusted by the provided cert chain"
	reasonOther       = "Certificate not trusted: "
)

// verdict is the response.
type verdict struct {
	Trusted bool   `json:"trusted"`
	Reason  string `json:"reason"`
}

// trust is what a certificate may lead to.
type trust struct{ authorities, intermediates *x509.CertPool }

// mozilla returns the authorities Mozilla trusts for TLS, which come with the program: what the
// machine trusts would differ from one server to the next.
func mozilla() trust {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		cert, err := x509.ParseCertificate(root.Certificate)
		switch {
		case err != nil: // a root this Go cannot read can verify nothing
		case root.Constraint == nil:
			pool.AddCert(cert)
		default:
			pool.AddCertWithConstraint(cert, root.Constraint)
		}
	}
	return trust{authorities: pool, intermediates: x509.NewCertPool()}
}

// judge holds the certificate against what it is said to lead to. The certificate's own validity
// comes first: an expired one of an unknown issuer is expired.
func (r request) judge(authorities func() trust, now time.Time) (verdict, error) {
	leaf, err := r.cert.parse()
	if err != nil {
		return verdict{}, err
	}
	if leaf.Version != 3 {
		return verdict{}, fmt.Errorf("Certificate is not a valid end-entity certificate: UnsupportedCertVersion")
	}
	if r.at != nil {
		if now, err = time.Parse(time.RFC3339, *r.at); err != nil {
			return verdict{}, errors.New("Timestamp not_after is not in RFC3339 format")
		}
	}
	chain, err := r.parseChain()
	if err != nil {
		return verdict{}, err
	}
	switch reason := outsideValidity(leaf, now); {
	case reason != "":
		return verdict{Reason: reason}, nil
	case leaf.IsCA:
		return verdict{Reason: reasonOther + "CaUsedAsEndEntity"}, nil
	case r.chain == nil:
		return authorities().judge(leaf, now), nil
	case len(chain) == 0 || leaf.Equal(chain[len(chain)-1]) && !selfIssued(leaf):
		return verdict{Reason: reasonUntrusted}, nil // x509 takes a certificate that is an authority itself as it is
	}
	return judgeByChain(leaf, chain, now), nil
}

// judgeByChain judges by a chain that is not empty: its last certificate is the authority.
func judgeByChain(leaf *x509.Certificate, chain []*x509.Certificate, now time.Time) verdict {
	intermediates, anchor := chain[:len(chain)-1], chain[len(chain)-1]
	given := trust{authorities: x509.NewCertPool(), intermediates: x509.NewCertPool()}
	if usableKey(anchor) {
		given.authorities.AddCert(asAuthority(anchor, now))
	}
	for _, cert := range intermediates {
		if usableKey(cert) {
			given.intermediates.AddCert(cert)
		}
	}
	if result := given.judge(leaf, now); result.Trusted || result.Reason != reasonUntrusted {
		return result
	}
	return verdict{Reason: outsideValidityOnTheWay(leaf, given.authorities, intermediates, now)}
}

func (t trust) judge(leaf *x509.Certificate, now time.Time) verdict {
	_, err := leaf.Verify(options(t, now))
	if err == nil {
		return verdict{Trusted: true}
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown), errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return verdict{Reason: reasonUntrusted}
	default:
		return verdict{Reason: reasonOther + err.Error()}
	}
}

func options(t trust, now time.Time) x509.VerifyOptions {
	return x509.VerifyOptions{
		Roots:         t.authorities,
		Intermediates: t.intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
}

// outsideValidityOnTheWay says why there is no path to an authority: an intermediate of the path
// there would be is expired or not yet valid, or there is none.
func outsideValidityOnTheWay(leaf *x509.Certificate, authorities *x509.CertPool, intermediates []*x509.Certificate, now time.Time) string {
	timeless := x509.NewCertPool()
	for _, cert := range intermediates {
		if usableKey(cert) {
			always := *cert
			always.NotBefore, always.NotAfter = now, now
			timeless.AddCert(&always)
		}
	}
	paths, err := leaf.Verify(options(trust{authorities, timeless}, now))
	if err != nil {
		return reasonUntrusted
	}
	for _, used := range paths[0][1 : len(paths[0])-1] {
		i := slices.IndexFunc(intermediates, used.Equal)
		if reason := outsideValidity(intermediates[i], now); reason != "" {
			return reason
		}
	}
	return reasonUntrusted
}

// outsideValidity says how now lies outside of cert's validity; "" when it does not.
func outsideValidity(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(cert.NotBefore):
		return reasonNotYetValid
	case now.After(cert.NotAfter):
		return reasonExpired
	}
	return ""
}

// asAuthority returns cert as x509 wants an authority to be. Who is given one by the policy trusts
// its name and its key: that it expired, or was never meant to be one, is the policy's business.
func asAuthority(cert *x509.Certificate, now time.Time) *x509.Certificate {
	authority := *cert
	authority.NotBefore, authority.NotAfter = now, now
	authority.BasicConstraintsValid, authority.IsCA = true, true
	authority.MaxPathLen, authority.MaxPathLenZero = -1, false
	authority.KeyUsage = 0
	return &authority
}

func selfIssued(cert *x509.Certificate) bool {
	return usableKey(cert) && slices.Equal(cert.RawIssuer, cert.RawSubject) && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// usableKey reports whether signatures by cert's key may be checked: a key without bounds is work
// without bounds.
func usableKey(cert *x509.Certificate) bool {
	key, ok := cert.PublicKey.(*rsa.PublicKey)
	return !ok || key.N.BitLen() >= minRSABits && key.N.BitLen() <= maxRSABits
}

func (r request) parseChain() ([]*x509.Certificate, error) {
	if len(r.chain) > maxChain {
		return nil, fmt.Errorf("Certificate chain is too long: %d certificates, at most %d are looked at", len(r.chain), maxChain)
	}
	var chain []*x509.Certificate
	for _, c := range r.chain {
		cert, err := c.parse()
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// parse reads a certificate, of PEM the first.
func (c certificate) parse() (*x509.Certificate, error) {
	der := []byte(*c.Data)
	if len(der) > maxCertificateBytes {
		return nil, fmt.Errorf("Certificate is not a valid end-entity certificate: larger than %d bytes", maxCertificateBytes)
	}
	if c.Encoding == encodingPEM {
		block, rest := pem.Decode(der)
		for block != nil && block.Type != "CERTIFICATE" {
			block, rest = pem.Decode(rest)
		}
		if block == nil {
			return nil, errors.New("Certificate PEM data is not valid: it holds no certificate")
		}
		der = block.Bytes
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("Certificate is not a valid end-entity certificate: %w", err)
	}
	return cert, nil
}
