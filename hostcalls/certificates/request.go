package certificates

import (
	"encoding/json"
	"fmt"

	"policy-server/hostcalls"
)

// request is a decoded payload.
type request struct {
	cert  certificate
	chain []certificate // nil: none was given, which is not the same as an empty one
	at    *string       // nil: now
}

// certificate is one as a guest hands it over.
type certificate struct {
	Encoding encoding         `json:"encoding"`
	Data     *hostcalls.Bytes `json:"data"`
}

type encoding string

const (
	encodingPEM encoding = "Pem"
	encodingDER encoding = "Der"
)

// UnmarshalJSON takes the two known encodings, spelt exactly so.
func (e *encoding) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case `"Pem"`:
		*e = encodingPEM
	case `"Der"`:
		*e = encodingDER
	default:
		return fmt.Errorf("unknown variant %s, expected `Der` or `Pem`", text)
	}
	return nil
}

// decode reads a payload. Guests that leave not_after out, or send it empty, mean null.
func decode(payload []byte) (request, error) {
	var given struct {
		Cert      *certificate   `json:"cert"`
		CertChain *[]certificate `json:"cert_chain"`
		NotAfter  *string        `json:"not_after"`
	}
	if err := json.Unmarshal(payload, &given); err != nil {
		return request{}, fmt.Errorf("decode certificate to verify: %w", err)
	}
	if given.Cert == nil {
		return request{}, fmt.Errorf("decode certificate to verify: missing field `cert`")
	}
	r := request{cert: *given.Cert}
	if given.CertChain != nil {
		r.chain = *given.CertChain
	}
	if given.NotAfter != nil && *given.NotAfter != "" {
		r.at = given.NotAfter
	}
	for _, c := range append([]certificate{r.cert}, r.chain...) {
		switch {
		case c.Encoding == "":
			return request{}, fmt.Errorf("decode certificate to verify: missing field `encoding`")
		case c.Data == nil:
			return request{}, fmt.Errorf("decode certificate to verify: missing field `data`")
		}
	}
	return r, nil
}

// question is the request as a session file has it.
func (r request) question() hostcalls.Question {
	var chain []hostcalls.Fields
	if r.chain != nil {
		chain = make([]hostcalls.Fields, 0, len(r.chain))
	}
	for _, c := range r.chain {
		chain = append(chain, c.fields())
	}
	return hostcalls.Question{Variant: "CryptoIsCertificateTrusted", Fields: hostcalls.Fields{{Name: "request", Value: hostcalls.Fields{
		{Name: "cert", Value: r.cert.fields()},
		{Name: "cert_chain", Value: chain},
		{Name: "not_after", Value: r.at},
	}}}}
}

func (c certificate) fields() hostcalls.Fields {
	return hostcalls.Fields{{Name: "encoding", Value: string(c.Encoding)}, {Name: "data", Value: *c.Data}}
}
