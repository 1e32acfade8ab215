package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"policy-server/registry"
)

// authority is a private certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "private CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	return authority{certificate: certify(t, template, template, key, key), key: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certify(t *testing.T, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// server starts a registry whose certificate is by the authority.
func (a authority) server(t *testing.T) *server {
	key := newKey(t)
	leaf := certify(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, a.certificate, key, a.key)
	return startServer(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
		s.StartTLS()
	})
}

func TestPrivateAuthorities(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	s := ours.server(t)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "ca.pem"), ours.pem())
	writeFile(t, filepath.Join(dir, "ca.der"), ours.certificate.Raw)
	for _, test := range []struct {
		name        string
		authorities []registry.Authority
		trusted     bool
	}{
		{"PEM", []registry.Authority{{Data: ours.pem()}}, true},
		{"DER", []registry.Authority{{Data: ours.certificate.Raw}}, true},
		{"PEM file", []registry.Authority{{Path: filepath.Join(dir, "ca.pem")}}, true},
		{"DER file", []registry.Authority{{Path: filepath.Join(dir, "ca.der")}}, true},
		{"one of two", []registry.Authority{{Data: theirs.pem()}, {Data: ours.pem()}}, true},
		{"second of a bundle", []registry.Authority{{Data: slices.Concat(theirs.pem(), ours.pem())}}, true},
		{"another one", []registry.Authority{{Data: theirs.pem()}}, false},
		{"none", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := open(t, registry.Config{Sources: registry.Sources{SourceAuthorities: map[string][]registry.Authority{s.host: test.authorities}}})
			before := s.conns.Load()
			_, pushed := client.Push(t.Context(), parse(t, s.host+"/p:1"), wasm("policy"), nil)
			got, err := pull(t, client, s.host+"/p:1")
			if test.trusted {
				if pushed != nil {
					t.Error(pushed)
				}
				wantModule(t, got, err, wasm("policy"))
				return
			}
			wantError(t, pushed, "certificate signed by unknown authority")
			wantError(t, err, "certificate signed by unknown authority")
			var failed *registry.FetchError
			if !errors.As(err, &failed) || !strings.Contains(failed.Hint(), "source_authorities") {
				t.Errorf("got error %v without a hint at source_authorities", err)
			}
			if n := s.conns.Load() - before; n != 2 { // a certificate is no matter of time: nobody asks again
				t.Errorf("%d connections were made, want one each", n)
			}
		})
	}
}
