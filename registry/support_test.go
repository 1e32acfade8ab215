package registry_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"policy-server/registry"
)

// wasm returns a distinct module for each content; only its magic is WebAssembly.
func wasm(content string) []byte { return []byte("\x00asm\x01\x00\x00\x00" + content) }

// server is an in-process OCI registry on loopback. It notes every request that reaches a handler.
type server struct {
	*httptest.Server
	host  string
	conns atomic.Int64 // accepted so far

	mu       sync.Mutex
	answer   http.HandlerFunc // asked first; nil or untouched: the registry answers
	requests []string
}

func plainServer(t *testing.T) *server { return startServer(t, (*httptest.Server).Start) }

func tlsServer(t *testing.T) *server { return startServer(t, (*httptest.Server).StartTLS) }

// http2Server speaks HTTP/2, as most registries do.
func http2Server(t *testing.T) *server {
	return startServer(t, func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() })
}

func startServer(t *testing.T, start func(*httptest.Server)) *server {
	t.Helper()
	silent := log.New(io.Discard, "", 0)
	images := ociregistry.New(ociregistry.Logger(silent))
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		answer := s.answer
		s.mu.Unlock()
		if answer != nil {
			watched := &watchedWriter{ResponseWriter: w}
			answer(watched, r)
			if watched.answered {
				return
			}
		}
		images.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = silent
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	start(s.Server)
	t.Cleanup(s.Close)
	s.host = strings.TrimPrefix(strings.TrimPrefix(s.URL, "https://"), "http://")
	return s
}

type watchedWriter struct {
	http.ResponseWriter
	answered bool
}

func (w *watchedWriter) WriteHeader(code int) {
	w.answered = true
	w.ResponseWriter.WriteHeader(code)
}

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.answered = true
	return w.ResponseWriter.Write(p)
}

// Unwrap lets handlers flush through http.ResponseController.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// setAnswer makes the server answer otherwise from now on, where f writes something.
func (s *server) setAnswer(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// count returns how many requests there were of the method, or of any if it is empty, with the part
// in their paths.
func (s *server) count(method, part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, request := range s.requests {
		got, path, _ := strings.Cut(request, " ")
		if (method == "" || got == method) && strings.Contains(path, part) {
			n++
		}
	}
	return n
}

// ca returns the certificate the TLS server is trusted by.
func (s *server) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// trusting returns sources under which the server can be reached, and nothing else more than usual.
func (s *server) trusting() registry.Sources {
	if s.TLS == nil {
		return registry.Sources{InsecureSources: []string{s.host}}
	}
	return registry.Sources{SourceAuthorities: map[string][]registry.Authority{s.host: {{Data: s.ca()}}}}
}

// push puts a module into the server and returns its digest.
func (s *server) push(t *testing.T, path string, module []byte) name.Digest {
	t.Helper()
	digest, err := open(t, registry.Config{Sources: s.trusting()}).Push(t.Context(), parse(t, s.host+"/"+path), module, nil)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// put stores any bytes as manifest, and returns nothing: the digest is the test's business.
func (s *server) put(t *testing.T, path, mediaType string, manifest []byte) {
	t.Helper()
	repository, tag, _ := strings.Cut(path, ":")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v2/"+repository+"/manifests/"+tag, bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("put %s: %s", path, resp.Status)
	}
}

// pushIndex puts a module into the server as this platform's entry of an index, and returns the
// index's digest.
func (s *server) pushIndex(t *testing.T, path string, module []byte) string {
	t.Helper()
	repository, _, _ := strings.Cut(path, ":")
	digest := s.push(t, repository+":entry", module)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":%q,"architecture":%q}}]}`,
		indexType, imageType, digest.DigestStr(), goruntime.GOOS, goruntime.GOARCH)
	s.put(t, path, indexType, []byte(index))
	return sha([]byte(index))
}

// open opens a client that does not wait long before it asks again.
func open(t *testing.T, cfg registry.Config) *registry.Client {
	t.Helper()
	if cfg.Retries == (registry.Retries{}) {
		cfg.Retries = registry.Retries{Attempts: 3, FirstPause: time.Millisecond}
	}
	client, err := registry.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func parse(t *testing.T, text string) registry.Reference {
	t.Helper()
	ref, err := registry.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// pull fetches and reads a module as an operator without verification does.
func pull(t *testing.T, client *registry.Client, text string) ([]byte, error) {
	t.Helper()
	artifact, err := client.Fetch(t.Context(), parse(t, text))
	if err != nil {
		return nil, err
	}
	return artifact.Module(t.Context(), registry.AllowUnsignedUnsafe(artifact.Digest))
}

// listen takes an address that was just given up.
func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// wantModule fails the test unless the pull gave the module.
func wantModule(t *testing.T, got []byte, err error, want []byte) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got module %q, want %q", got, want)
	}
}

// wantError fails the test unless the error's text holds each of the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want one with %q", err, part)
		}
	}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
