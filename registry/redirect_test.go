package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"policy-server/registry"
)

// TestRedirectsToAnotherHost has a registry that keeps its blobs elsewhere, with a token in the
// address.
func TestRedirectsToAnotherHost(t *testing.T) {
	const token = "?signature=hunter2"
	for _, test := range []struct {
		name   string
		demand func(*server) http.HandlerFunc
		config string
	}{
		{"basic authentication", func(*server) http.HandlerFunc { return demandPassword("user", "pass") }, `{"auths":{"HOST":{"auth":"` + encoded + `"}}}`},
		{"token", func(s *server) http.HandlerFunc { return demandToken(s.URL + "/token") }, `{"auths":{"HOST":{"identitytoken":"identity"}}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			storage, s := tlsServer(t), tlsServer(t)
			storage.push(t, "p:1", large())
			s.push(t, "p:1", large())
			demand := test.demand(s)
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					giveToken(w, r)
					return
				}
				demand(w, r)
				if w.(*watchedWriter).answered || !strings.Contains(r.URL.Path, blobs) {
					return
				}
				http.Redirect(w, r, storage.URL+r.URL.Path+token, http.StatusTemporaryRedirect)
			})
			steps := &script{path: blobs, steps: []http.HandlerFunc{cut(1000, serve(large(), "")), serve(large(), "")}}
			storage.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				for _, header := range []string{"Authorization", "Referer", "Cookie"} {
					if r.Header.Get(header) != "" {
						t.Errorf("the other host got %s", header)
					}
				}
				steps.ServeHTTP(w, r)
			})
			useDockerConfig(t, strings.ReplaceAll(test.config, "HOST", s.host))
			got, err := pull(t, open(t, registry.Config{Sources: both(s, storage)}), s.host+"/p:1")
			wantModule(t, got, err, large())
			if asked := steps.asked(); len(asked) != 2 || asked[1] == "" {
				t.Errorf("the other host was asked for ranges %q, want the rest in the end", asked)
			}

			storage.setAnswer(status(http.StatusForbidden))
			_, err = pull(t, open(t, registry.Config{Sources: both(s, storage)}), s.host+"/p:1")
			wantError(t, err, "403")
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the signed URL is in %q", err)
			}
		})
	}
}

// TestRedirectedDownloads holds that the address of a plain module, which may hold a token, is not
// told to where it leads.
func TestRedirectedDownloads(t *testing.T) {
	storage, s := tlsServer(t), tlsServer(t)
	storage.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Referer") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("the other host got %q", r.Header)
		}
		_, _ = w.Write(wasm("policy"))
	})
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "user" || password != "hunter2" {
			t.Error("the module's own host got no password")
		}
		http.Redirect(w, r, storage.URL+"/q.wasm", http.StatusFound)
	})
	got, err := pull(t, open(t, registry.Config{Sources: both(s, storage)}), "https://user:hunter2@"+s.host+"/p.wasm?token=hunter2")
	wantModule(t, got, err, wasm("policy"))
}

func TestEndlessRedirects(t *testing.T) {
	s := tlsServer(t)
	s.push(t, "p:1", wasm("policy"))
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, blobs) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}
	})
	_, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), s.host+"/p:1")
	wantError(t, err, "stopped after 10 redirects")
	if n := s.count("", blobs); n > 20 {
		t.Errorf("%d requests were made", n)
	}
}

// both returns sources under which two TLS servers can be reached.
func both(one, two *server) registry.Sources {
	sources := one.trusting()
	sources.SourceAuthorities[two.host] = []registry.Authority{{Data: two.ca()}}
	return sources
}
