package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/registry"
)

func TestConnectionPolicy(t *testing.T) {
	authority := func(a registry.Authority, host string) registry.Sources {
		return registry.Sources{SourceAuthorities: map[string][]registry.Authority{host: {a}}}
	}
	for _, test := range []struct {
		name    string
		start   func(*testing.T) *server
		sources func(*testing.T, *server) registry.Sources
		refused []string // parts of the error; empty: the pull succeeds
	}{
		{"plain, not listed", plainServer, func(*testing.T, *server) registry.Sources { return registry.Sources{} },
			[]string{"insecure_sources"}},
		{"plain, another host listed", plainServer,
			func(*testing.T, *server) registry.Sources {
				return registry.Sources{InsecureSources: []string{"example.com"}}
			},
			[]string{"insecure_sources"}},
		{"plain, listed", plainServer,
			func(_ *testing.T, s *server) registry.Sources {
				return registry.Sources{InsecureSources: []string{s.host}}
			}, nil},
		{"TLS, not listed", tlsServer, func(*testing.T, *server) registry.Sources { return registry.Sources{} },
			[]string{"certificate signed by unknown authority"}},
		{"TLS, authority as data", tlsServer,
			func(_ *testing.T, s *server) registry.Sources {
				return authority(registry.Authority{Data: s.ca()}, s.host)
			}, nil},
		{"TLS, authority as DER", tlsServer,
			func(_ *testing.T, s *server) registry.Sources {
				return authority(registry.Authority{Data: s.Certificate().Raw}, s.host)
			}, nil},
		{"TLS, authority as file", tlsServer, func(t *testing.T, s *server) registry.Sources {
			file := filepath.Join(t.TempDir(), "ca.pem")
			writeFile(t, file, s.ca())
			return authority(registry.Authority{Path: file}, s.host)
		}, nil},
		{"TLS, authority as DER file", tlsServer, func(t *testing.T, s *server) registry.Sources {
			file := filepath.Join(t.TempDir(), "ca.der")
			writeFile(t, file, s.Certificate().Raw)
			return authority(registry.Authority{Path: file}, s.host)
		}, nil},
		{"TLS, authority of another host", tlsServer,
			func(_ *testing.T, s *server) registry.Sources {
				return authority(registry.Authority{Data: s.ca()}, "example.com")
			},
			[]string{"certificate signed by unknown authority"}},
		{"TLS, listed as insecure", tlsServer,
			func(_ *testing.T, s *server) registry.Sources {
				return registry.Sources{InsecureSources: []string{s.host}}
			}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.start(t)
			s.push(t, "p:1", wasm("policy"))
			before := s.count("", "/")
			got, err := pull(t, open(t, registry.Config{Sources: test.sources(t, s)}), s.host+"/p:1")
			if len(test.refused) == 0 {
				wantModule(t, got, err, wasm("policy"))
				return
			}
			wantError(t, err, append(test.refused, s.host)...)
			if after := s.count("", "/"); after != before {
				t.Errorf("%d requests reached the server", after-before)
			}
		})
	}
}

func TestPlainHTTPErrorNamesTheRemedy(t *testing.T) {
	s := plainServer(t)
	for _, text := range []string{s.host + "/p:1", "http://" + s.host + "/p.wasm", "https://" + s.host + "/p.wasm"} {
		_, err := pull(t, open(t, registry.Config{}), text)
		var failed *registry.FetchError
		if !errors.As(err, &failed) {
			t.Fatalf("%s: got error %v, want a FetchError", text, err)
		}
		if hint := failed.Hint(); !strings.Contains(hint, s.host) || !strings.Contains(hint, "insecure_sources") {
			t.Errorf("%s: got hint %q", text, hint)
		}
	}
}

func TestInsecureWayIsRemembered(t *testing.T) {
	s := plainServer(t)
	s.push(t, "p:1", wasm("policy"))
	client := open(t, registry.Config{Sources: s.trusting()})
	got, err := pull(t, client, s.host+"/p:1")
	wantModule(t, got, err, wasm("policy"))
	before := s.conns.Load()
	for range 3 {
		got, err := pull(t, client, s.host+"/p:1")
		wantModule(t, got, err, wasm("policy"))
	}
	if after := s.conns.Load(); after != before {
		t.Errorf("%d connections more were made once plain http had worked", after-before)
	}

	// The server comes back, now over TLS only: what was remembered must not be the end of it.
	moved := httptest.NewUnstartedServer(s.Config.Handler)
	moved.Config.ErrorLog = s.Config.ErrorLog
	s.Close()
	if err := moved.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	moved.Listener = listen(t, s.host)
	moved.StartTLS()
	defer moved.Close()
	_, err = pull(t, client, s.host+"/p:1")
	wantError(t, err, "400")
	got, err = pull(t, client, s.host+"/p:1")
	wantModule(t, got, err, wasm("policy"))
}

// TestRefusalsAreAnswers has an insecure source whose verified HTTPS works: what it refuses is not
// asked for in clear.
func TestRefusalsAreAnswers(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusInternalServerError} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			s := tlsServer(t)
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v2/" {
					w.WriteHeader(status)
				}
			})
			sources := s.trusting()
			sources.InsecureSources = []string{s.host}
			_, err := pull(t, open(t, registry.Config{Sources: sources}), s.host+"/p:1")
			wantError(t, err, fmt.Sprintf("unexpected status code %d", status))
			if n := s.conns.Load(); n != 1 {
				t.Errorf("%d connections were made, want one", n)
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	for _, test := range []struct {
		name   string
		listed bool // whether the plain server is an insecure source
	}{
		{"to plain http, not listed", false},
		{"to plain http, listed", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			storage, s := plainServer(t), tlsServer(t)
			storage.push(t, "p:1", wasm("policy"))
			s.push(t, "p:1", wasm("policy"))
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/blobs/") || strings.HasSuffix(r.URL.Path, ".wasm") {
					http.Redirect(w, r, "http://"+storage.host+r.URL.Path+"?signature=hunter2", http.StatusTemporaryRedirect)
				}
			})
			storage.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, ".wasm") {
					_, _ = w.Write(wasm("policy"))
				}
			})
			sources := s.trusting()
			if test.listed {
				sources.InsecureSources = []string{storage.host}
			}
			before := storage.count("", "/")
			for _, text := range []string{s.host + "/p:1", "https://" + s.host + "/p.wasm"} {
				got, err := pull(t, open(t, registry.Config{Sources: sources}), text)
				if test.listed {
					wantModule(t, got, err, wasm("policy"))
					continue
				}
				var refused *registry.PlainHTTPError
				if !errors.As(err, &refused) || refused.Host != storage.host {
					t.Errorf("%s: got error %v, want a PlainHTTPError for %q", text, err, storage.host)
				}
				if err != nil && strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s: the signed URL is in %q", text, err)
				}
			}
			if after := storage.count("", "/"); !test.listed && after != before {
				t.Errorf("%d requests reached the plain server", after-before)
			}
		})
	}
}

func TestProxies(t *testing.T) {
	upstream := plainServer(t)
	upstream.push(t, "p:1", wasm("policy"))
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect { // the way over TLS leads nowhere
			http.Error(w, "no tunnels", http.StatusBadGateway)
			return
		}
		upstream.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	nowhere := "http://127.0.0.1:1"
	section := &registry.Proxies{HTTPProxy: proxy.URL, HTTPSProxy: proxy.URL}
	for _, test := range []struct {
		name, environment string
		section           *registry.Proxies
		reached           bool
	}{
		{"environment", proxy.URL, nil, true},
		{"section", "", section, true},
		{"section instead of environment", nowhere, section, true},
		{"section replaces the environment as a whole", proxy.URL, &registry.Proxies{HTTPProxy: nowhere, HTTPSProxy: nowhere}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
				t.Setenv(name, test.environment)
			}
			t.Setenv("NO_PROXY", "")
			client := open(t, registry.Config{Sources: registry.Sources{
				InsecureSources: []string{"registry.example:5000"}, Proxies: test.section,
			}})
			got, err := pull(t, client, "registry.example:5000/p:1")
			if test.reached {
				wantModule(t, got, err, wasm("policy"))
				return
			}
			wantError(t, err, "127.0.0.1:1")
		})
	}
}

func TestRemoteOptionsFollowTheSources(t *testing.T) {
	s := tlsServer(t)
	s.push(t, "p:1", wasm("policy"))
	image, err := parse(t, s.host+"/p:1").OCI()
	if err != nil {
		t.Fatal(err)
	}
	trusting := open(t, registry.Config{Sources: s.trusting(), MaxManifestBytes: 10_000})
	if _, err := remote.Get(image, trusting.RemoteOptions(t.Context())...); err != nil {
		t.Error(err)
	}
	if _, err := remote.Get(image, open(t, registry.Config{}).RemoteOptions(t.Context())...); err == nil {
		t.Error("a certificate nobody vouches for was accepted")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := remote.Get(image, trusting.RemoteOptions(ended)...); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want that the context has ended", err)
	}
	for _, length := range []string{"known", "unknown"} {
		s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
			if r.URL.Path == "/elsewhere" {
				if length == "known" {
					w.Header().Set("Content-Length", "10001")
				}
				_, _ = w.Write(make([]byte, 10_001))
			}
		})
		_, err = remote.Get(image, trusting.RemoteOptions(t.Context())...)
		var large *registry.TooLargeError
		if !errors.As(err, &large) || large.Limit != 10_000 {
			t.Errorf("length %s: got error %v, want a TooLargeError with the limit", length, err)
		}
	}
}

func TestClient_hammer(t *testing.T) {
	s := plainServer(t)
	s.push(t, "p:1", wasm("policy"))
	client := open(t, registry.Config{Sources: s.trusting(), StoreDir: t.TempDir()})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 10 {
				got, err := pull(t, client, s.host+"/p:1")
				if err != nil || string(got) != string(wasm("policy")) {
					t.Errorf("got module %q, error %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

// TestConnectionsAreNotWaitedFor holds that requests which a registry does not answer keep nobody
// from asking it, over HTTP/2 too, where it lets few requests be made over one connection.
func TestConnectionsAreNotWaitedFor(t *testing.T) {
	for _, version := range []int{1, 2} {
		hung, release := make(chan struct{}, 100), make(chan struct{})
		served := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/slow/") {
				hung <- struct{}{}
				<-release
			}
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = io.WriteString(w, "{}")
		}))
		served.EnableHTTP2 = version == 2
		served.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 4}
		served.StartTLS()
		host := strings.TrimPrefix(served.URL, "https://")
		client, err := registry.Open(registry.Config{Sources: registry.Sources{
			SourceAuthorities: map[string][]registry.Authority{host: {{Data: served.Certificate().Raw}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		digest := func(ctx context.Context, repository string) error {
			ref, err := registry.ParseReference("registry://" + host + "/" + repository)
			if err == nil {
				_, err = client.Digest(ctx, ref)
			}
			return err
		}
		for n := range 40 {
			waiting.Go(func() { _ = digest(ctx, fmt.Sprintf("slow/%d:v1", n)) })
		}
		for range 40 {
			<-hung
		}
		if err := digest(ctx, "quick/image:v1"); err != nil {
			t.Errorf("HTTP/%d: %v", version, err)
		}
		cancel()
		close(release)
		waiting.Wait()
		served.Close()
	}
}
