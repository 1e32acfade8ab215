// Package certificates answers the host capabilities of namespace crypto: whether a certificate
// leads to an authority. Chains are built by crypto/x509 (RFC 5280); what differs between it and
// the library of the server this one replaces is evened out here.
package certificates

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"policy-server/hostcalls"
)

// IsCertificateTrusted returns what answers crypto/v1/is_certificate_trusted.
//
//	request:  {"cert": {"encoding": "Pem"|"Der", "data": bytes}, "cert_chain": [the same, …]?, "not_after": string?}
//	response: {"trusted": true, "reason": ""} or {"trusted": false, "reason": string}
//
// Bytes are arrays of numbers. The chain begins with intermediates and ends with the one authority
// that counts; without a chain Mozilla's TLS authorities do; with an empty one no certificate is
// trusted. not_after is the time at which the certificate is judged, in RFC 3339: now, when it is
// missing, null or empty. The authority's own validity, key usage, extended key usage, names and
// revocation are not looked at.
//
// Errors: a certificate or a time that cannot be read.
func IsCertificateTrusted() hostcalls.Capability {
	authorities := sync.OnceValue(mozilla) // some 150 certificates, for policies that ask without a chain
	understand := func(payload []byte) (hostcalls.Request, error) {
		asked, err := decode(payload)
		if err != nil {
			return hostcalls.Request{}, err
		}
		return hostcalls.Request{
			Local:    true,
			Question: asked.question(),
			Perform:  func(context.Context) ([]byte, error) { return asked.answer(authorities, time.Now()) },
		}, nil
	}
	return hostcalls.Capability{Path: hostcalls.CryptoIsCertificateTrusted, Understand: understand}
}

func (r request) answer(authorities func() trust, now time.Time) ([]byte, error) {
	verdict, err := r.judge(authorities, now)
	if err != nil {
		return nil, err
	}
	return json.Marshal(verdict)
}
