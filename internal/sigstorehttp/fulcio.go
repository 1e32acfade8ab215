package sigstorehttp

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// issue answers POST /api/v2/signingCert: a certificate for the key and for the e-mail address of the token, if the key
// signed that address.
func (s *Services) issue(r *http.Request) (int, http.Header, []byte, error) {
	var request struct {
		PublicKeyRequest struct {
			PublicKey struct {
				Content string `json:"content"`
			} `json:"publicKey"`
			ProofOfPossession []byte `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return 0, nil, nil, err
	}
	email, err := emailOf(r.Header.Get("Authorization"))
	if err != nil {
		return 0, nil, nil, err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(request.PublicKeyRequest.PublicKey.Content))
	if err != nil {
		return 0, nil, nil, err
	}
	if err := verifyWith(key, request.PublicKeyRequest.ProofOfPossession, []byte(email)); err != nil {
		return 0, nil, nil, err
	}
	if s.CertifyAnotherKey {
		key = s.rekor.Public()
	}
	issuer, err := asn1.MarshalWithParams(Issuer, "utf8")
	if err != nil {
		return 0, nil, nil, err
	}
	oid := []int{1, 3, 6, 1, 4, 1, 57264, 1}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:   big.NewInt(time.Now().UnixNano()),
		NotBefore:      time.Now().Add(-time.Minute),
		NotAfter:       time.Now().Add(10 * time.Minute),
		EmailAddresses: []string{email},
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{
			{Id: append(oid[:8:8], 1), Value: []byte(Issuer)},
			{Id: append(oid[:8:8], 8), Value: issuer},
		},
	}, s.fulcio.certificate, key, s.fulcio.key)
	if err != nil {
		return 0, nil, nil, err
	}
	chain := []string{string(cryptoutils.PEMEncode(cryptoutils.CertificatePEMType, der)), string(cryptoutils.PEMEncode(cryptoutils.CertificatePEMType, s.fulcio.certificate.Raw))}
	body, err := json.Marshal(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
	return http.StatusOK, http.Header{"Content-Type": {"application/json"}}, body, err
}

func emailOf(authorization string) (string, error) {
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		return "", errors.New("no bearer token")
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var identity struct {
		Email string `json:"email"`
	}
	return identity.Email, json.Unmarshal(claims, &identity)
}
