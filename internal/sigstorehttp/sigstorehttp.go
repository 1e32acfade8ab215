// Package sigstorehttp serves a throwaway Sigstore on loopback, for tests of whoever signs: a certificate authority that
// checks proofs of possession and issues real certificates, a transparency log that includes what it is sent, and a
// timestamp authority. It speaks the three HTTP protocols as far as signers use them. All keys are in memory.
package sigstorehttp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Services is a running Sigstore. CertifyAnotherKey may be set before it is asked for anything.
type Services struct {
	FulcioURL, RekorURL, TimestampURL string

	CertifyAnotherKey bool // the certificate authority mixes up its customers

	server       *httptest.Server
	fulcio, tsa  authority
	rekor        *ecdsa.PrivateKey
	rekorID      string // hex SHA-256 of its public key
	rekorEntries int64
}

// authority is a self-signed certificate with its key.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Issuer is what certificates name as the issuer of identities.
const Issuer = "https://issuer.test"

// Start starts the services. The caller closes them.
func Start() (*Services, error) {
	s := new(Services)
	var err error
	if s.fulcio, err = newAuthority(x509.ExtKeyUsageCodeSigning); err != nil {
		return nil, err
	}
	if s.tsa, err = newAuthority(x509.ExtKeyUsageTimeStamping); err != nil {
		return nil, err
	}
	if s.rekor, err = newKey(); err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(s.rekor.Public())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki)
	s.rekorID = hex.EncodeToString(id[:])
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/signingCert", answering(s.issue))
	mux.HandleFunc("POST /api/v1/log/entries", answering(s.log))
	mux.HandleFunc("POST /api/v1/timestamp", answering(s.stamp))
	s.server = httptest.NewServer(mux)
	s.FulcioURL, s.RekorURL, s.TimestampURL = s.server.URL, s.server.URL, s.server.URL+"/api/v1/timestamp"
	return s, nil
}

// Close stops the services.
func (s *Services) Close() { s.server.Close() }

// Token returns an identity token for an e-mail address. Nobody signed it: Fulcio here believes everybody.
func Token(email string) string {
	claims, err := json.Marshal(map[string]any{"iss": Issuer, "email": email, "email_verified": true})
	if err != nil {
		panic(err) // strings always encode
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." + part(claims) + "." + part([]byte("signature"))
}

// TrustedRoot returns what those must trust who verify.
func (s *Services) TrustedRoot() (*root.TrustedRoot, error) {
	since := time.Now().Add(-time.Hour)
	return root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: s.fulcio.certificate, ValidityPeriodStart: since, URI: "https://fulcio.test"}},
		nil,
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: s.tsa.certificate, Leaf: s.tsa.certificate, ValidityPeriodStart: since, URI: "https://tsa.test"}},
		map[string]*root.TransparencyLog{s.rekorID: {
			BaseURL: "https://" + origin, ID: mustHex(s.rekorID), HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			PublicKey: s.rekor.Public(), ValidityPeriodStart: since,
		}})
}

func mustHex(text string) []byte {
	raw, err := hex.DecodeString(text)
	if err != nil {
		panic(err) // we wrote it
	}
	return raw
}

// answering turns a function from request to answer into a handler. An error is the client's fault.
func answering(answer func(*http.Request) (status int, header http.Header, body []byte, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, header, body, err := answer(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func newAuthority(usage x509.ExtKeyUsage) (authority, error) {
	key, err := newKey()
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "throwaway", Organization: []string{"sigstore.test"}},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{usage},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	if usage == x509.ExtKeyUsageTimeStamping {
		// RFC 3161 wants this extension critical, which crypto/x509 does not write: id-kp-timeStamping alone.
		template.ExtKeyUsage, template.IsCA, template.KeyUsage = nil, false, x509.KeyUsageDigitalSignature
		template.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 37}, Critical: true,
			Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08}}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	return authority{certificate, key}, err
}
