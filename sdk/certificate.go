package sdk

import "strconv"

// A Certificate is an X.509 certificate as it came: nothing is decoded in the guest.
type Certificate struct {
	encoding string
	data     string
}

// PEM returns the certificate in a PEM document; its first one, if it holds several.
func PEM(document string) Certificate { return Certificate{"Pem", document} }

// DER returns the certificate with this binary form.
func DER(data []byte) Certificate { return Certificate{"Der", string(data)} }

// json returns the form the host wants: bytes are an array of numbers.
func (c Certificate) json() string {
	text := append(make([]byte, 0, 4*len(c.data)+32), `{"encoding":"`+c.encoding+`","data":[`...)
	for i := range len(c.data) {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(c.data[i]), 10)
	}
	return string(append(text, "]}"...))
}

// A TrustQuery asks whether a certificate leads to an authority.
type TrustQuery struct {
	Certificate Certificate

	// Chain are intermediates and, last, the only authority that counts. nil: Mozilla's authorities
	// for TLS do.
	Chain []Certificate

	// At is the time to judge at, in RFC 3339. Empty: now.
	At string
}

// IsCertificateTrusted asks the host about a certificate. When it is not trusted, reason says why.
// The error is for certificates that cannot be read, and for hosts that cannot be asked.
//
//	crypto/v1/is_certificate_trusted
func IsCertificateTrusted(q TrustQuery) (trusted bool, reason string, err error) {
	var p payload
	p.add("cert", q.Certificate.json())
	if q.Chain != nil {
		p.name("cert_chain")
		p.text = append(p.text, '[')
		for i, c := range q.Chain {
			if i > 0 {
				p.text = append(p.text, ',')
			}
			p.text = append(p.text, c.json()...)
		}
		p.text = append(p.text, ']')
	}
	if q.At == "" {
		p.add("not_after", "null") // other hosts want it to be there
	} else {
		p.addText("not_after", q.At)
	}
	answer, err := answerOf("crypto", "v1/is_certificate_trusted", p.value(), Object)
	if err != nil {
		return false, "", err
	}
	trusted, ok := answer.Get("trusted").Bool()
	if !ok {
		return false, "", notAsTold("crypto", "v1/is_certificate_trusted")
	}
	reason, _ = answer.Get("reason").Text()
	return trusted, reason, nil
}
