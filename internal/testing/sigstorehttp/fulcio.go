package sigstorehttp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"policy-server/internal/testing/sigstoretest"
)

// issue answers POST /api/v2/signingCert: a certificate for the key and for the e-mail address of
// the token, if the key signed that address.
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
		key = s.Authority.Chain()[0].PublicKey
	}
	certificate, err := s.Authority.Certify(sigstoretest.Identity{Email: email, Issuer: Issuer}, key)
	if err != nil {
		return 0, nil, nil, err
	}
	var chain []string
	for _, c := range append([]*x509.Certificate{certificate}, s.Authority.Chain()...) {
		chain = append(chain, string(cryptoutils.PEMEncode(cryptoutils.CertificatePEMType, c.Raw)))
	}
	body, err := json.Marshal(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
	return http.StatusOK, http.Header{"Content-Type": {"application/json"}}, body, err
}

func verifyWith(key crypto.PublicKey, signed, message []byte) error {
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	if err != nil {
		return err
	}
	return verifier.VerifySignature(bytes.NewReader(signed), bytes.NewReader(message))
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
