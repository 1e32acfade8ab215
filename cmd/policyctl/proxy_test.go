package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"sync/atomic"
	"testing"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
)

// unreachable is a host that nobody reaches except through a proxy: its domain is reserved for
// names that do not resolve.
const unreachable = "registry.invalid:5000"

// proxy forwards whatever it is asked for to one registry, and counts.
type proxy struct {
	url            string
	tunnels, plain atomic.Int64
}

// startsProxy starts a proxy in front of a server.
func startsProxy(t *testing.T, behind *httptest.Server) *proxy {
	t.Helper()
	p := new(proxy)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Host = behind.Listener.Addr().String() }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			p.plain.Add(1)
			forward.ServeHTTP(w, r)
			return
		}
		p.tunnels.Add(1)
		tunnel(t, w, behind.Listener.Addr().String())
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func tunnel(t *testing.T, w http.ResponseWriter, address string) {
	there, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(there, here)
		_ = there.Close()
	}()
	go func() {
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}()
}

// TestProxies_case87_case88_case89_case90 pulls from a registry behind a proxy, which the
// environment names or does not.
func TestProxies_case87_case88_case89_case90(t *testing.T) {
	u := newUser(t)
	images := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	plain, secure := httptest.NewServer(images), httptest.NewUnstartedServer(images)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // the first attempt does not like the certificate
	secure.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	host := plain.Listener.Addr().String()
	u.writes(u.places.sources(), "insecure_sources: ['"+host+"']\n")
	u.pushed(u.annotated("accepts", podMetadata), host+"/pods:v1")
	sources := u.writes("sources.yml", "insecure_sources: ['"+unreachable+"']\n")
	const nowhere = "http://" + unreachable
	for name, c := range map[string]struct {
		behind         *httptest.Server
		variables      func(proxy string) map[string]string
		tunnels, plain bool
	}{
		"case 87, alone":            {secure, func(p string) map[string]string { return map[string]string{"HTTPS_PROXY": p} }, true, false},
		"case 87, beside the other": {secure, func(p string) map[string]string { return map[string]string{"HTTPS_PROXY": p, "HTTP_PROXY": p} }, true, false},
		"case 88":                   {plain, func(p string) map[string]string { return map[string]string{"HTTP_PROXY": p} }, false, true},
		"case 89": {plain, func(p string) map[string]string {
			return map[string]string{"HTTP_PROXY": p, "HTTPS_PROXY": p, "NO_PROXY": "registry.invalid"}
		}, false, false},
		"case 90, lower case":      {plain, func(p string) map[string]string { return map[string]string{"http_proxy": p} }, false, true},
		"case 90, upper case wins": {secure, func(p string) map[string]string { return map[string]string{"HTTPS_PROXY": p, "https_proxy": nowhere} }, true, false},
		"case 90, lower case excludes": {plain, func(p string) map[string]string {
			return map[string]string{"http_proxy": p, "no_proxy": "registry.invalid"}
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			p := startsProxy(t, c.behind)
			for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy", "REQUEST_METHOD"} {
				t.Setenv(variable, "")
			}
			for variable, content := range c.variables(p.url) {
				t.Setenv(variable, content)
			}
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			r := u.does("pull", "--sources-path", sources, unreachable+"/pods:v1")
			if (r.code == 0) != (c.tunnels || c.plain) {
				t.Errorf("exit code %d, stderr\n%s", r.code, r.stderr)
			}
			if (p.tunnels.Load() > 0) != c.tunnels || (p.plain.Load() > 0) != c.plain {
				t.Errorf("%d tunnels, %d plain requests", p.tunnels.Load(), p.plain.Load())
			}
		})
	}
}
