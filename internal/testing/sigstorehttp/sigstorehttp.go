// Package sigstorehttp serves a throwaway Sigstore on loopback, for tests of what signs. Behind
// it is the Authority of sigstoretest: it checks proofs of possession and issues real certificates,
// includes what it is sent in a transparency log, and timestamps. It speaks the three HTTP
// protocols as far as signers use them.
package sigstorehttp

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"

	"policy-server/internal/testing/sigstoretest"
)

// Services is a running Sigstore. CertifyAnotherKey may be set before it is asked for anything.
type Services struct {
	FulcioURL, RekorURL, TimestampURL string

	Authority         *sigstoretest.Authority // whose trust root those need who verify; not to be used while it is served
	CertifyAnotherKey bool                    // the certificate authority mixes up its customers

	server *httptest.Server
	mu     sync.Mutex // the authority serves one request at a time
}

// Issuer is what certificates name as the issuer of identities.
const Issuer = "https://issuer.test"

// Start starts the services. The caller closes them.
func Start() (*Services, error) {
	authority, err := sigstoretest.New()
	if err != nil {
		return nil, err
	}
	s := &Services{Authority: authority}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/signingCert", s.answering(s.issue))
	mux.HandleFunc("POST /api/v1/log/entries", s.answering(s.log))
	mux.HandleFunc("POST /api/v1/timestamp", s.answering(s.stamp))
	s.server = httptest.NewServer(mux)
	s.FulcioURL, s.RekorURL, s.TimestampURL = s.server.URL, s.server.URL, s.server.URL+"/api/v1/timestamp"
	return s, nil
}

// Close stops the services.
func (s *Services) Close() { s.server.Close() }

// Token returns an identity token for an e-mail address. It is not signed: Fulcio here believes
// everybody.
func Token(email string) string {
	claims, err := json.Marshal(map[string]any{"iss": Issuer, "email": email, "email_verified": true})
	if err != nil {
		panic(err) // strings always encode
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." + part(claims) + "." + part([]byte("signature"))
}

// answering turns a function from request to answer into a handler. An error is the client's fault.
func (s *Services) answering(answer func(*http.Request) (status int, header http.Header, body []byte, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		status, header, body, err := answer(r)
		s.mu.Unlock()
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
