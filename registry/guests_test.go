package registry_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"policy-server/registry"
)

// guestAsks asks what an image's tag means as a guest does, and returns the error's text with the
// host taken out.
func guestAsks(t *testing.T, sources registry.Sources, host string) string {
	t.Helper()
	_, err := open(t, registry.Config{Sources: sources, Retries: registry.Retries{Attempts: 1}}).ForGuests().Digest(t.Context(), parse(t, host+"/p:1"))
	if err == nil {
		return ""
	}
	var without *registry.UnreachableError
	if !errors.As(err, &without) {
		return "an answer"
	}
	return strings.ReplaceAll(err.Error(), host, "HOST")
}

// TestForGuests holds which registries guests may ask, by the sources.
func TestForGuests(t *testing.T) {
	s := tlsServer(t)
	s.push(t, "p:1", wasm("p"))
	trusting := s.trusting()
	cut := func(change func(*registry.Sources)) registry.Sources {
		sources := s.trusting()
		change(&sources)
		return sources
	}
	_, port, _ := net.SplitHostPort(s.host)
	for name, c := range map[string]struct {
		sources registry.Sources
		host    string
		allowed bool
	}{
		"on loopback":                          {registry.Sources{}, s.host, false},
		"on loopback, by name":                 {registry.Sources{}, "localhost:" + port, false},
		"on loopback, by another name":         {registry.Sources{}, "a.localhost:" + port, false},
		"on loopback, listed with a CA":        {trusting, s.host, true},
		"another is listed":                    {registry.Sources{GuestRegistries: []string{"a.com"}}, "b.com", false},
		"listed as a registry, and another is": {cut(func(r *registry.Sources) { r.GuestRegistries = []string{"a.com"} }), s.host, true},
		"all are listed":                       {registry.Sources{GuestRegistries: []string{"*"}}, s.host, false},
		"link-local":                           {registry.Sources{}, "169.254.169.254", false},
		"link-local, in IPv6":                  {registry.Sources{}, "[fe80::1]:443", false},
		"unspecified":                          {registry.Sources{}, "0.0.0.0:" + port, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.conns.Load()
			got := guestAsks(t, c.sources, c.host)
			if (got == "") != c.allowed {
				t.Errorf("got %q", got)
			}
			if tried := s.conns.Load() != before; tried != c.allowed {
				t.Errorf("a connection was made: %t", tried)
			}
		})
	}
	insecure := plainServer(t)
	insecure.push(t, "p:1", wasm("p"))
	if got := guestAsks(t, insecure.trusting(), insecure.host); got != "" {
		t.Errorf("listed as insecure: %q", got)
	}
}

// TestForGuests_tellsNothing holds that a guest cannot tell from errors what answers at a port.
func TestForGuests_tellsNothing(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			connection, err := silent.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte("SSH-2.0-OpenSSH_9.6\r\n"))
			_ = connection.Close()
		}
	}()
	other := httptest.NewTLSServer(http.NotFoundHandler())
	defer other.Close()
	var texts []string
	for _, host := range []string{closed.Addr().String(), silent.Addr().String(), strings.TrimPrefix(other.URL, "https://"), "169.254.169.254"} {
		sources := registry.Sources{GuestRegistries: []string{host}, InsecureSources: []string{host}}
		if host == "169.254.169.254" {
			sources = registry.Sources{}
		}
		texts = append(texts, guestAsks(t, sources, host))
	}
	slices.Sort(texts)
	const want = `fetch "registry://HOST/p:1": registry "HOST" cannot be asked: it is down, or none, or not one that policies may ask (guest_registries in the sources file)`
	if texts = slices.Compact(texts); len(texts) != 1 || texts[0] != want {
		t.Errorf("got %q", texts)
	}
}

// TestForGuests_redirected holds that a registry cannot lead a guest to an address nearby.
func TestForGuests_redirected(t *testing.T) {
	s, nearby := tlsServer(t), tlsServer(t)
	nearby.push(t, "p:1", wasm("p"))
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			http.Redirect(w, r, nearby.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}
	})
	before := nearby.conns.Load()
	if got := guestAsks(t, s.trusting(), s.host); !strings.Contains(got, "cannot be asked") || nearby.conns.Load() != before {
		t.Errorf("got %q, %d connections", got, nearby.conns.Load()-before)
	}
}

// TestForGuests_proxied holds that a proxy on loopback is used all the same, and is not asked for
// an address nearby.
func TestForGuests_proxied(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Host)
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer proxy.Close()
	sources := registry.Sources{Proxies: &registry.Proxies{HTTPSProxy: proxy.URL}}
	for _, host := range []string{"registry.example.com", "169.254.169.254", "[fe80::1]", "localhost"} {
		if got := guestAsks(t, sources, host); !strings.Contains(got, "cannot be asked") {
			t.Errorf("%s: %q", host, got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) == 0 || slices.ContainsFunc(asked, func(host string) bool { return host != "registry.example.com:443" }) {
		t.Errorf("the proxy was asked for %q", asked)
	}
}
