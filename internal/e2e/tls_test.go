package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTLS holds that the server speaks TLS with the files it is given, in HTTP/2, and its probe
// plain HTTP.
func TestTLS(t *testing.T) {
	t.Parallel()
	lender := httptest.NewTLSServer(http.NotFoundHandler()) // of its certificate, and of a client that trusts it
	defer lender.Close()
	client := lender.Client()
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := started(t, launch(t, unverified(t, "accepts"), "--cert-file", certFile, "--key-file", keyFile))
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	response, err := client.Post(strings.Replace(s.url, "http://", "https://", 1)+"/validate/accepts", "application/json", strings.NewReader(pod))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		t.Errorf("%s, %s", response.Status, response.Proto)
	}
	client.CloseIdleConnections()
	s.stop(t)
}
