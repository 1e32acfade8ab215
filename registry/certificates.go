package registry

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// authorityPools reads the authorities of each host, by hostKey, and adds them to the system's. The
// error joins all faults.
func authorityPools(authorities map[string][]Authority) (map[string]*x509.CertPool, error) {
	pools := map[string]*x509.CertPool{}
	var faults []error
	for _, host := range slices.Sorted(maps.Keys(authorities)) {
		pool := pools[hostKey(host)]
		if pool == nil {
			system, err := x509.SystemCertPool() // a copy of its own each time
			if err != nil {
				return nil, fmt.Errorf("read the system's certificate authorities: %w", err)
			}
			pool = system
			pools[hostKey(host)] = pool
		}
		for i, authority := range authorities[host] {
			certificates, err := authority.certificates()
			if err != nil {
				faults = append(faults, fmt.Errorf("source_authorities.%s[%d]: %w", host, i, err))
			}
			for _, certificate := range certificates {
				pool.AddCert(certificate)
			}
		}
	}
	return pools, errors.Join(faults...)
}

func (a Authority) certificates() ([]*x509.Certificate, error) {
	if a.Path == "" {
		return parseCertificates(a.Data)
	}
	content, err := os.ReadFile(a.Path)
	if err != nil {
		return nil, fault("Cannot read certificate from file: " + err.Error())
	}
	return parseCertificates(content)
}

// parseCertificates reads every certificate of a PEM text, at least one, or a single DER
// certificate.
func parseCertificates(content []byte) ([]*x509.Certificate, error) {
	block, rest := pem.Decode(content)
	if block == nil {
		certificate, err := x509.ParseCertificate(content)
		if err != nil {
			return nil, errCertificateShape
		}
		return []*x509.Certificate{certificate}, nil
	}
	var certificates []*x509.Certificate
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault("Invalid certificate: could not load certificate as PEM encoded: " + err.Error())
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, fault("Invalid certificate: could not load certificate as PEM encoded: it holds no CERTIFICATE block")
	}
	return certificates, nil
}
