package certificates_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"policy-server/hostcalls"
	"policy-server/hostcalls/certificates"
)

// holder is a certificate with its key.
type holder struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// days is a validity, from and to, relative to now.
type days struct{ from, to int }

var valid = days{-10, 10}

// issued makes a certificate; by is nil for a root.
func issued(t *testing.T, name string, by *holder, validity days, change func(*x509.Certificate)) *holder {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().AddDate(0, 0, validity.from),
		NotAfter:              time.Now().AddDate(0, 0, validity.to),
		BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	parent := &holder{template, key}
	if by != nil {
		parent = by
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, &key.PublicKey, parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &holder{cert, key}
}

func authority(template *x509.Certificate) {
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
}

// wire is a certificate as a guest sends it.
type wire struct {
	Encoding string          `json:"encoding"`
	Data     hostcalls.Bytes `json:"data"`
}

func (h *holder) der() wire { return wire{"Der", h.cert.Raw} }
func (h *holder) pem() wire {
	return wire{"Pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.cert.Raw})}
}

func payload(t *testing.T, members map[string]any) string {
	t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ask(t *testing.T, payload string) (string, error) {
	t.Helper()
	request, err := certificates.IsCertificateTrusted().Understand([]byte(payload))
	if err != nil {
		return "", err
	}
	answer, err := request.Perform(t.Context())
	return string(answer), err
}

const (
	trusted      = `{"trusted":true,"reason":""}`
	expired      = `{"trusted":false,"reason":"Certificate is being used after its expiration date"}`
	notYetValid  = `{"trusted":false,"reason":"Certificate is being used before its validity date"}`
	notByChain   = `{"trusted":false,"reason":"Certificate is not trusted by the provided cert chain"}`
	caAsLeaf     = `{"trusted":false,"reason":"Certificate not trusted: CaUsedAsEndEntity"}`
	never, later = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00+02:00"
)

func TestIsCertificateTrusted(t *testing.T) {
	root := issued(t, "root", nil, valid, authority)
	intermediate := issued(t, "intermediate", root, valid, authority)
	leaf := issued(t, "leaf", intermediate, valid, nil)
	direct := issued(t, "direct", root, valid, nil)
	otherRoot := issued(t, "root", nil, valid, authority) // same name, another key
	otherIntermediate := issued(t, "intermediate", otherRoot, valid, authority)

	oldLeaf := issued(t, "old", intermediate, days{-9, -5}, nil)
	newLeaf := issued(t, "new", intermediate, days{10, 20}, nil)
	oldRoot := issued(t, "old root", nil, days{-20, -10}, authority)
	underOldRoot := issued(t, "intermediate", oldRoot, valid, authority)
	oldIntermediate := issued(t, "old intermediate", root, days{-20, -10}, authority)
	newIntermediate := issued(t, "new intermediate", root, days{10, 20}, authority)
	humble := issued(t, "humble", nil, valid, nil) // signs although it is no authority
	pretender := issued(t, "pretender", root, valid, nil)
	short := issued(t, "short", root, valid, func(c *x509.Certificate) { authority(c); c.MaxPathLenZero = true })
	belowShort := issued(t, "below", short, valid, authority)

	for name, c := range map[string]struct {
		members map[string]any
		want    string
	}{
		"37 root, intermediate, leaf":  {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{intermediate.pem(), root.pem()}, "not_after": nil}, trusted},
		"37 root and leaf":             {map[string]any{"cert": direct.pem(), "cert_chain": []wire{root.der()}, "not_after": nil}, trusted},
		"38 expired, no chain":         {map[string]any{"cert": oldLeaf.pem(), "cert_chain": nil, "not_after": nil}, expired},
		"39 not yet valid, no chain":   {map[string]any{"cert": newLeaf.der(), "cert_chain": nil, "not_after": nil}, notYetValid},
		"40 another chain":             {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{otherIntermediate.pem(), otherRoot.pem()}, "not_after": nil}, notByChain},
		"40 another root":              {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{intermediate.pem(), otherRoot.pem()}, "not_after": nil}, notByChain},
		"41 private, no chain":         {map[string]any{"cert": leaf.pem(), "cert_chain": nil, "not_after": nil}, notByChain},
		"43 root expired":              {map[string]any{"cert": issued(t, "l", underOldRoot, valid, nil).pem(), "cert_chain": []wire{underOldRoot.pem(), oldRoot.pem()}, "not_after": nil}, trusted},
		"43 root expired, direct":      {map[string]any{"cert": issued(t, "l", oldRoot, valid, nil).pem(), "cert_chain": []wire{oldRoot.pem()}, "not_after": nil}, trusted},
		"44 intermediate expired":      {map[string]any{"cert": issued(t, "l", oldIntermediate, valid, nil).pem(), "cert_chain": []wire{oldIntermediate.pem(), root.pem()}, "not_after": nil}, expired},
		"44 leaf expired, good chain":  {map[string]any{"cert": oldLeaf.pem(), "cert_chain": []wire{intermediate.pem(), root.pem()}, "not_after": nil}, expired},
		"intermediate not yet valid":   {map[string]any{"cert": issued(t, "l", newIntermediate, valid, nil).pem(), "cert_chain": []wire{newIntermediate.pem(), root.pem()}, "not_after": nil}, notYetValid},
		"45 empty time":                {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{intermediate.pem(), root.pem()}, "not_after": ""}, trusted},
		"45 no chain member":           {map[string]any{"cert": leaf.pem(), "not_after": nil}, notByChain},
		"46 no time member":            {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{intermediate.pem(), root.pem()}}, trusted},
		"judged long ago":              {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{intermediate.pem(), root.pem()}, "not_after": never}, notYetValid},
		"judged far ahead":             {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{intermediate.pem(), root.pem()}, "not_after": later}, expired},
		"judged when it was valid":     {map[string]any{"cert": oldLeaf.pem(), "cert_chain": []wire{intermediate.pem(), root.pem()}, "not_after": time.Now().AddDate(0, 0, -7).Format(time.RFC3339Nano)}, trusted},
		"empty chain":                  {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{}}, notByChain},
		"intermediate missing":         {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{root.pem()}}, notByChain},
		"root first is no anchor":      {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{root.pem(), otherRoot.pem()}}, notByChain},
		"intermediate is an anchor":    {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{intermediate.pem()}}, trusted},
		"anchor that is no authority":  {map[string]any{"cert": issued(t, "l", humble, valid, nil).pem(), "cert_chain": []wire{humble.pem()}}, trusted},
		"self-signed is its anchor":    {map[string]any{"cert": humble.pem(), "cert_chain": []wire{humble.pem()}}, trusted},
		"leaf is no anchor of its own": {map[string]any{"cert": leaf.pem(), "cert_chain": []wire{leaf.pem()}}, notByChain},
		"authority as leaf":            {map[string]any{"cert": intermediate.pem(), "cert_chain": []wire{root.pem()}}, caAsLeaf},
		"path too long":                {map[string]any{"cert": issued(t, "l", belowShort, valid, nil).pem(), "cert_chain": []wire{belowShort.pem(), short.pem(), root.pem()}}, "Certificate not trusted: "},
		"intermediate no authority":    {map[string]any{"cert": issued(t, "l", pretender, valid, nil).pem(), "cert_chain": []wire{pretender.pem(), root.pem()}}, notByChain},
		"key behind the certificate":   {map[string]any{"cert": wire{"Pem", append([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), leaf.pem().Data...)}, "cert_chain": []wire{intermediate.der(), root.der()}}, trusted},
		"client certificate":           {map[string]any{"cert": issued(t, "l", root, valid, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }).pem(), "cert_chain": []wire{root.pem()}}, trusted},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ask(t, payload(t, c.members))
			if err != nil || !strings.Contains(got, c.want) {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestIsCertificateTrusted_fails(t *testing.T) {
	root := issued(t, "root", nil, valid, authority)
	leaf := issued(t, "leaf", root, valid, nil)
	chain := []wire{root.pem()}
	for name, c := range map[string]struct{ payload, want string }{
		"42 malformed time":    {payload(t, map[string]any{"cert": leaf.pem(), "cert_chain": chain, "not_after": "malformed"}), "Timestamp not_after is not in RFC3339 format"},
		"PEM without block":    {payload(t, map[string]any{"cert": wire{"Pem", []byte("nothing")}}), "Certificate PEM data is not valid: "},
		"PEM as DER":           {payload(t, map[string]any{"cert": wire{"Der", leaf.pem().Data}}), "Certificate is not a valid end-entity certificate: "},
		"no bytes":             {payload(t, map[string]any{"cert": wire{"Der", nil}}), "Certificate is not a valid end-entity certificate: "},
		"chain does not parse": {payload(t, map[string]any{"cert": leaf.pem(), "cert_chain": []wire{{"Pem", []byte{45}}}}), "Certificate PEM data is not valid: "},
		"too large":            {payload(t, map[string]any{"cert": wire{"Der", make([]byte, 65<<10)}}), "larger than 65536 bytes"},
		"chain too long":       {payload(t, map[string]any{"cert": leaf.pem(), "cert_chain": make33(root.pem())}), "Certificate chain is too long: 33"},
		"no payload":           {"", "decode certificate to verify: "},
		"no certificate":       {`{"cert_chain":null,"not_after":null}`, "missing field `cert`"},
		"no encoding":          {`{"cert":{"data":[1]},"not_after":null}`, "missing field `encoding`"},
		"no data":              {`{"cert":{"encoding":"Der"},"not_after":null}`, "missing field `data`"},
		"unknown encoding":     {`{"cert":{"encoding":"PEM","data":[1]}}`, "unknown variant \"PEM\", expected `Der` or `Pem`"},
		"base64":               {`{"cert":{"encoding":"Der","data":"AAAA"}}`, "json: cannot unmarshal string"},
		"too large a byte":     {`{"cert":{"encoding":"Der","data":[256]}}`, "element 0: 256; want a number from 0 to 255"},
		"negative":             {`{"cert":{"encoding":"Der","data":[-1]}}`, "element 0: -1; want a number from 0 to 255"},
		"time is a number":     {payload(t, map[string]any{"cert": leaf.pem(), "not_after": 7}), "decode certificate to verify: "},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ask(t, c.payload); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func make33(c wire) []wire {
	chain := make([]wire, 33)
	for i := range chain {
		chain[i] = c
	}
	return chain
}

// What is decoded is asked again in the words of a session file, so both must survive whatever a
// guest sends.
func FuzzIsCertificateTrusted(f *testing.F) {
	f.Add([]byte(`{"cert":{"encoding":"Pem","data":[45,45]},"cert_chain":[{"encoding":"Der","data":[48,130]}],"not_after":"2024-05-06T00:00:00Z"}`))
	f.Add([]byte(`{"cert":{"encoding":"Der","data":[]},"cert_chain":null,"not_after":""}`))
	capability := certificates.IsCertificateTrusted()
	f.Fuzz(func(t *testing.T, payload []byte) {
		request, err := capability.Understand(payload)
		if err != nil {
			return
		}
		answer, err := request.Perform(t.Context())
		if err == nil && !json.Valid(answer) {
			t.Errorf("answer %q", answer)
		}
	})
}
