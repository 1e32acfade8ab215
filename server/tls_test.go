package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"policy-server/server"
	"policy-server/server/certs"
)

// authority is a throwaway certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue makes a certificate for name, and its key, both PEM; by itself when a is nil.
func (a *authority) issue(t *testing.T, name string, change func(*x509.Certificate)) (certificate, key []byte, issued *authority) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	if a == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, private
	if a != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		&authority{parsed, private}
}

// secured is a server that speaks TLS, its files and what trusts it.
type secured struct {
	address, readiness string
	files              certs.Files
	roots              *x509.CertPool
	logs               *observer.ObservedLogs
}

// put writes a file as editors and Secrets do: another one takes its place.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	aside := path + ".new"
	if err := errors.Join(os.WriteFile(aside, content, 0o600), os.Rename(aside, path)); err != nil {
		t.Fatal(err)
	}
}

// startSecured starts a server with a certificate of its own for "server", and the client CAs.
func startSecured(t *testing.T, clientCAs ...[]byte) *secured {
	t.Helper()
	folder := t.TempDir()
	s := &secured{files: certs.Files{Certificate: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")}, roots: x509.NewCertPool()}
	certificate, key, itself := (*authority)(nil).issue(t, "server", nil)
	s.roots.AddCert(itself.certificate)
	put(t, s.files.Certificate, certificate)
	put(t, s.files.Key, key)
	for i, ca := range clientCAs {
		path := filepath.Join(folder, string(rune('a'+i))+".crt")
		put(t, path, ca)
		s.files.ClientCAs = append(s.files.ClientCAs, path)
	}
	return s.start(t)
}

// start starts the server over its files.
func (s *secured) start(t *testing.T) *secured {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	s.logs = logs
	material, err := certs.Load(s.files, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served, renewed := make(chan error, 1), make(chan struct{})
	front := server.New(server.Config{Address: "127.0.0.1:0", Readiness: "127.0.0.1:0", TLS: material.Config()}, evaluatorFunc(byName), zap.New(core))
	go func() { served <- front.Run(ctx) }()
	go func() { material.Renew(ctx); close(renewed) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		<-renewed
	})
	s.address, s.readiness = listening(t, logs)
	return s
}

// ask posts a review over a new connection and returns the protocol it was answered by, or the
// error.
func (s *secured) ask(t *testing.T, change func(*tls.Config)) (proto string, err error) {
	t.Helper()
	config := &tls.Config{RootCAs: s.roots, ServerName: "server"}
	if change != nil {
		change(config)
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: len(config.NextProtos) == 0}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Post("https://"+s.address+"/validate/allow", "application/json", strings.NewReader(review))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 200 || !strings.Contains(string(body), `"allowed":true`) {
		t.Errorf("%s %s, %v", response.Status, body, err)
	}
	return response.Proto, nil
}

// eventually waits until a connection succeeds, or fails.
func (s *secured) eventually(t *testing.T, works bool, change func(*tls.Config)) {
	t.Helper()
	var err error
	for range 100 {
		if _, err = s.ask(t, change); (err == nil) == works {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("works: %t expected; in the end %v", works, err)
}

func (s *secured) logged(message string) int { return s.logs.FilterMessage(message).Len() }

// with has a client present a certificate.
func with(t *testing.T, certificate, key []byte) func(*tls.Config) {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *tls.Config) { c.Certificates = []tls.Certificate{pair} }
}

// TestTLS holds the versions and protocols the API speaks, and that the readiness probe is plain.
func TestTLS(t *testing.T) {
	s := startSecured(t)
	for name, c := range map[string]struct {
		change func(*tls.Config)
		proto  string // "": refused
	}{
		"HTTP/2":                 {nil, "HTTP/2.0"},
		"HTTP/1.1":               {func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, "HTTP/1.1"},
		"TLS 1.2":                {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "HTTP/2.0"},
		"TLS 1.1":                {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, ""},
		"another server's name":  {func(c *tls.Config) { c.ServerName = "other" }, ""},
		"a client without trust": {func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, ""},
	} {
		if proto, err := s.ask(t, c.change); proto != c.proto || (err == nil) != (c.proto != "") {
			t.Errorf("%s: %s, %v", name, proto, err)
		}
	}
	if response, err := http.Get("http://" + s.readiness + "/readiness"); err != nil || response.StatusCode != 200 {
		t.Errorf("readiness: %v, %v", response, err)
	} else {
		_ = response.Body.Close()
	}
	if response, err := http.Get("http://" + s.address + "/validate/allow"); err == nil {
		_ = response.Body.Close()
		if response.StatusCode != 400 {
			t.Errorf("plain HTTP to the API: %s", response.Status)
		}
	}
}

// TestTLS_clients holds which clients are let in where client CAs are given: several files, one of
// them with several certificates and one that is none.
func TestTLS_clients(t *testing.T) {
	caA, _, a := (*authority)(nil).issue(t, "a", nil)
	caB, _, b := (*authority)(nil).issue(t, "b", nil)
	caC, _, c := (*authority)(nil).issue(t, "c", nil)
	odd := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("odd")})
	s := startSecured(t, caA, slices.Concat(caB, odd, caC))
	_, _, stranger := (*authority)(nil).issue(t, "stranger", nil)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	usage := func(usage x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{usage} }
	}
	for name, test := range map[string]struct {
		by      *authority
		change  func(*x509.Certificate)
		allowed bool
	}{
		"of the first file":  {a, nil, true},
		"of the second file": {b, nil, true},
		"its second one":     {c, nil, true},
		"for clients":        {a, usage(x509.ExtKeyUsageClientAuth), true},
		"for servers":        {a, usage(x509.ExtKeyUsageServerAuth), false},
		"expired":            {a, expired, false},
		"a stranger's":       {stranger, nil, false},
	} {
		certificate, key, _ := test.by.issue(t, "client", test.change)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			present := with(t, certificate, key)
			_, err := s.ask(t, func(c *tls.Config) { present(c); c.MinVersion, c.MaxVersion = version, version })
			if (err == nil) != test.allowed {
				t.Errorf("%s, %s: %v", name, tls.VersionName(version), err)
			}
		}
	}
	if _, err := s.ask(t, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	lines := s.logs.FilterMessage("Loaded client CA certificates").All()
	if len(lines) != 2 || !strings.HasSuffix(lines[1].LoggerName, "certs") || lines[1].ContextMap()["client_ca_certs_added"] != int64(2) || lines[1].ContextMap()["client_ca_certs_ignored"] != int64(1) {
		t.Errorf("logged %+v", lines)
	}
}

// TestTLS_renewed exchanges the server's certificate while it serves: one file after the other, and
// files that cannot be used. Open connections stay.
func TestTLS_renewed(t *testing.T) {
	s := startSecured(t)
	old := s.roots
	certificate, key, next := (*authority)(nil).issue(t, "server", nil)
	s.roots = x509.NewCertPool()
	s.roots.AddCert(next.certificate)
	trustsOld := func(c *tls.Config) { c.RootCAs = old }

	put(t, s.files.Certificate, certificate)
	waitFor(t, func() bool { return s.logged("TLS certificate and key are no pair, the other file is waited for") == 1 })
	if _, err := s.ask(t, trustsOld); err != nil {
		t.Errorf("after the certificate file alone: %v", err)
	}
	put(t, s.files.Key, key)
	s.eventually(t, true, nil)
	if _, err := s.ask(t, trustsOld); err == nil {
		t.Error("the old certificate is still served")
	}
	for i, broken := range [][]byte{[]byte("garbage"), nil} {
		put(t, s.files.Certificate, broken)
		put(t, s.files.Key, broken)
		waitFor(t, func() bool {
			return s.logged("Failed to reload TLS certificates: what was loaded before stays in use")+s.logged("TLS certificate and key are no pair, the other file is waited for") >= i+2
		})
		if _, err := s.ask(t, nil); err != nil {
			t.Errorf("after a broken pair: %v", err)
		}
	}
	if err := os.Remove(s.files.Key); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		for _, line := range s.logs.FilterMessage("Failed to reload TLS certificates: what was loaded before stays in use").All() {
			if strings.Contains(line.ContextMap()["error"].(string), s.files.Key) {
				return true
			}
		}
		return false
	})
	if _, err := s.ask(t, nil); err != nil {
		t.Errorf("after a file is gone: %v", err)
	}
}

// TestTLS_renewedAuthorities exchanges client CAs while the server serves, each file by itself.
func TestTLS_renewedAuthorities(t *testing.T) {
	caA, _, a := (*authority)(nil).issue(t, "a", nil)
	caB, _, _ := (*authority)(nil).issue(t, "b", nil)
	caC, _, c := (*authority)(nil).issue(t, "c", nil)
	s := startSecured(t, caA, caB)
	ofA, keyA, _ := a.issue(t, "client", nil)
	ofC, keyC, _ := c.issue(t, "client", nil)
	s.eventually(t, false, with(t, ofC, keyC))
	put(t, s.files.ClientCAs[1], caC)
	s.eventually(t, true, with(t, ofC, keyC))
	s.eventually(t, true, with(t, ofA, keyA))
	put(t, s.files.ClientCAs[0], caC)
	s.eventually(t, false, with(t, ofA, keyA))
	for _, path := range s.files.ClientCAs {
		put(t, path, []byte("garbage"))
	}
	waitFor(t, func() bool {
		return s.logged("Failed to reload TLS certificates: what was loaded before stays in use") > 0
	})
	s.eventually(t, true, with(t, ofC, keyC))
}

// TestTLS_secret renews as Kubernetes does: the files are links into a folder that is a link, which
// another one takes the place of. It does so more than once.
func TestTLS_secret(t *testing.T) {
	mount := t.TempDir()
	write := func(name string) *authority {
		certificate, key, itself := (*authority)(nil).issue(t, "server", nil)
		if err := os.Mkdir(filepath.Join(mount, name), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(mount, name, "tls.crt"), certificate)
		put(t, filepath.Join(mount, name, "tls.key"), key)
		aside := filepath.Join(mount, "..data_tmp")
		if err := errors.Join(os.Symlink(name, aside), os.Rename(aside, filepath.Join(mount, "..data"))); err != nil {
			t.Fatal(err)
		}
		return itself
	}
	s := &secured{files: certs.Files{Certificate: filepath.Join(mount, "tls.crt"), Key: filepath.Join(mount, "tls.key")}}
	first := write("..2026_1")
	for _, file := range []string{s.files.Certificate, s.files.Key} {
		if err := os.Symlink(filepath.Join("..data", filepath.Base(file)), file); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	for i, name := range []string{"", "..2026_2", "..2026_3"} {
		served := first
		if i > 0 {
			served = write(name)
		}
		s.roots = x509.NewCertPool()
		s.roots.AddCert(served.certificate)
		s.eventually(t, true, nil)
	}
}

// TestLoad_errors holds that what is wrong with a file is said, and which it is.
func TestLoad_errors(t *testing.T) {
	folder := t.TempDir()
	certificate, key, _ := (*authority)(nil).issue(t, "server", nil)
	_, otherKey, _ := (*authority)(nil).issue(t, "server", nil)
	path := func(name string, content []byte) string {
		put(t, filepath.Join(folder, name), content)
		return filepath.Join(folder, name)
	}
	good, goodKey := path("good.crt", certificate), path("good.key", key)
	for name, c := range map[string]struct {
		files certs.Files
		want  string
	}{
		"no certificate": {certs.Files{Certificate: path("a", []byte("x")), Key: goodKey}, "/a: Expected exactly one certificate in certificate file, found 0"},
		"no key":         {certs.Files{Certificate: good, Key: path("b", certificate)}, "/b: Expected exactly one key in key file, found 0"},
		"two keys":       {certs.Files{Certificate: good, Key: path("c", slices.Concat(key, key))}, "/c: Expected exactly one key in key file, found 2"},
		"another's key":  {certs.Files{Certificate: good, Key: path("d", otherKey)}, "/d: tls: private key does not match public key"},
		"missing":        {certs.Files{Certificate: filepath.Join(folder, "none"), Key: goodKey}, "/none: no such file or directory"},
		"no client CA":   {certs.Files{Certificate: good, Key: goodKey, ClientCAs: []string{path("e", []byte("x"))}}, "Cannot build client verifier: no certificates in " + filepath.Join(folder, "e")},
		"no folder":      {certs.Files{Certificate: good, Key: "/none/key"}, "cannot watch /none/key: no such file or directory"},
	} {
		if _, err := certs.Load(c.files, zap.NewNop()); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	chain := path("chain.crt", slices.Concat(certificate, certificate))
	if _, err := certs.Load(certs.Files{Certificate: chain, Key: goodKey}, zap.NewNop()); err != nil {
		t.Errorf("a chain: %v", err)
	}
}

// TestTLS_silentClient has a client never end its handshake: it is given up, and others are served.
func TestTLS_silentClient(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	silent, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := s.ask(t, nil); err != nil {
		t.Error(err)
	}
	_ = silent.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the silent client: %v", err)
	}
}

func waitFor(t *testing.T, over func() bool) {
	t.Helper()
	for range 200 {
		if over() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("it has not happened within ten seconds")
}
