package registry_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"policy-server/registry"
)

func TestBasicAuthentication(t *testing.T) {
	const secret = "correct horse"
	for _, test := range []struct {
		name, config, want string
	}{
		{"right password", auths("user:" + secret), ""},
		{"wrong password", auths("user:hunter2"), "401"},
		{"no entry", `{}`, "401"},
		{"undecodable entry", `{"auths": {"HOST": {"auth": "!"}}}`, "401"},
		{"helper that is not there", `{"credsStore": "policy-server-test-absent"}`, "401"},
		{"not JSON", `{`, "401"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := tlsServer(t)
			s.push(t, "p:1", wasm("policy"))
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if user, password, _ := r.BasicAuth(); user != "user" || password != secret {
					w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
					http.Error(w, "who are you?", http.StatusUnauthorized)
				}
			})
			useDockerConfig(t, strings.ReplaceAll(test.config, "HOST", s.host))
			client := open(t, registry.Config{Sources: s.trusting()})
			got, err := pull(t, client, s.host+"/p:1")
			if test.want == "" {
				wantModule(t, got, err, wasm("policy"))
				if _, err := client.Push(t.Context(), parse(t, s.host+"/p:2"), wasm("other"), nil); err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, test.want)
			var failed *registry.FetchError
			if !errors.As(err, &failed) || !strings.Contains(failed.Hint(), "credentials") {
				t.Errorf("got error %v, want a FetchError that hints at credentials", err)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("user:hunter2"))) {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

// TestTokenServer has a token server that is an insecure source itself, to which a request with a
// body is the first.
func TestTokenServer(t *testing.T) {
	for _, scheme := range []string{"https", "http"} {
		t.Run(scheme, func(t *testing.T) {
			tokens := httptest.NewServer(http.HandlerFunc(giveToken))
			t.Cleanup(tokens.Close)
			_, port, _ := strings.Cut(tokens.Listener.Addr().String(), ":")
			tokenHost := "localhost:" + port
			s := plainServer(t)
			s.push(t, "p:1", wasm("policy"))
			s.setAnswer(demandToken(scheme + "://" + tokenHost + "/token"))
			useDockerConfig(t, `{"auths": {"`+s.host+`": {"auth": "dXNlcjp1c2Vk", "identitytoken": "identity"}}}`)
			sources := registry.Sources{InsecureSources: []string{s.host, tokenHost}}
			got, err := pull(t, open(t, registry.Config{Sources: sources}), s.host+"/p:1")
			wantModule(t, got, err, wasm("policy"))

			sources.InsecureSources = []string{s.host}
			_, err = pull(t, open(t, registry.Config{Sources: sources}), s.host+"/p:1")
			wantError(t, err, "localhost")
		})
	}
}

// TestTokensForPasswords has the usual flow: a password for the token server, a token for the
// registry, scopes for both.
func TestTokensForPasswords(t *testing.T) {
	s := tlsServer(t)
	s.push(t, "p:1", wasm("policy"))
	var scopes []string
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			demandToken(s.URL+"/token")(w, r)
			return
		}
		if user, password, _ := r.BasicAuth(); user != "user" || password != "pass" {
			http.Error(w, "unknown", http.StatusUnauthorized)
			return
		}
		scopes = append(scopes, r.FormValue("scope"))
		fmt.Fprint(w, `{"token": "let me in", "expires_in": 60}`)
	})
	useDockerConfig(t, `{"auths": {"`+s.host+`": {"auth": "`+encoded+`"}}}`)
	client := open(t, registry.Config{Sources: s.trusting()})
	got, err := pull(t, client, s.host+"/p:1")
	wantModule(t, got, err, wasm("policy"))
	if _, err := client.Push(t.Context(), parse(t, s.host+"/p:2"), wasm("other"), nil); err != nil {
		t.Error(err)
	}
	if want := []string{"repository:p:pull", "repository:p:push,pull"}; !slices.Equal(scopes, want) {
		t.Errorf("asked for scopes %q, want %q", scopes, want)
	}
	useDockerConfig(t, `{"auths": {"`+s.host+`": {"auth": "`+base64.StdEncoding.EncodeToString([]byte("user:wrong"))+`"}}}`)
	_, err = pull(t, client, s.host+"/p:1")
	wantError(t, err, "401")
}

// TestBodyIsSentAgain has a server that breaks off after it has read a body, so that the next way
// needs it once more.
func TestBodyIsSentAgain(t *testing.T) {
	s := tlsServer(t)
	s.push(t, "p:1", wasm("policy"))
	var asked atomic.Int32
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			demandToken(s.URL+"/token")(w, r)
			return
		}
		if r.FormValue("refresh_token") != "" && asked.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		giveToken(w, r)
	})
	useDockerConfig(t, `{"auths": {"`+s.host+`": {"auth": "dXNlcjp1c2Vk", "identitytoken": "identity"}}}`)
	sources := s.trusting()
	sources.InsecureSources = []string{s.host}
	got, err := pull(t, open(t, registry.Config{Sources: sources}), s.host+"/p:1")
	wantModule(t, got, err, wasm("policy"))
	if asked.Load() != 2 {
		t.Errorf("the token server was asked %d times, want twice", asked.Load())
	}
}

// giveToken answers the token request of the OAuth2 flow, for one identity.
func giveToken(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("refresh_token") != "identity" || r.PostFormValue("scope") != "repository:p:pull" {
		http.Error(w, "unknown", http.StatusForbidden)
		return
	}
	fmt.Fprint(w, `{"access_token": "let me in"}`)
}

// demandToken challenges every request without the token.
func demandToken(realm string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer let me in" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

func auths(credentials string) string {
	return `{"auths": {"HOST": {"auth": "` + base64.StdEncoding.EncodeToString([]byte(credentials)) + `"}}}`
}

func useDockerConfig(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config.json"), []byte(config))
	t.Setenv("DOCKER_CONFIG", dir)
}
