package registry_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/registry"
)

// encoded is the base64 of user:pass, which needs padding.
var encoded = base64.StdEncoding.EncodeToString([]byte("user:pass"))

func TestDockerConfig(t *testing.T) {
	userPass := authn.AuthConfig{Username: "user", Password: "pass"}
	for _, test := range []struct {
		name, config, host string
		want               authn.AuthConfig
		fault              string // part of the error
	}{
		{"host", `{"auths":{"r.io":{"auth":"` + encoded + `"}}}`, "r.io", userPass, ""},
		{"host and port", `{"auths":{"r.io:5000":{"auth":"` + encoded + `"}}}`, "r.io:5000", userPass, ""},
		{"another port", `{"auths":{"r.io:5001":{"auth":"` + encoded + `"}}}`, "r.io:5000", authn.AuthConfig{}, ""},
		{"URL", `{"auths":{"https://r.io/v1/":{"auth":"` + encoded + `"}}}`, "r.io", userPass, ""},
		{"plain URL", `{"auths":{"http://r.io":{"auth":"` + encoded + `"}}}`, "r.io", userPass, ""},
		{"the very host before a URL", `{"auths":{"https://r.io":{"auth":"eDp5"},"r.io":{"auth":"` + encoded + `"}}}`, "r.io", userPass, ""},
		{"Docker Hub as docker login writes it", `{"auths":{"https://index.docker.io/v1/":{"auth":"` + encoded + `"}}}`, "docker.io", userPass, ""},
		{"Docker Hub as everybody calls it", `{"auths":{"docker.io":{"auth":"` + encoded + `"}}}`, "docker.io", userPass, ""},
		{"Docker Hub's registry", `{"auths":{"registry-1.docker.io":{"auth":"` + encoded + `"}}}`, "docker.io", userPass, ""},
		{"padding left out", `{"auths":{"r.io":{"auth":"` + strings.TrimRight(encoded, "=") + `"}}}`, "r.io", userPass, ""},
		{"line break behind", `{"auths":{"r.io":{"auth":"` + encoded + `\n"}}}`, "r.io", userPass, ""},
		{"colon in the password", `{"auths":{"r.io":{"auth":"dTpwOnE="}}}`, "r.io", authn.AuthConfig{Username: "u", Password: "p:q"}, ""},
		{"user and password apart", `{"auths":{"r.io":{"username":"user","password":"pass"}}}`, "r.io", userPass, ""},
		{"entry without auth", `{"auths":{"r.io":{}}}`, "r.io", authn.AuthConfig{}, ""},
		{"entry that is null", `{"auths":{"r.io":null}}`, "r.io", authn.AuthConfig{}, ""},
		{"no entry", `{"auths":{"r.io":{"auth":"` + encoded + `"}}}`, "q.io", authn.AuthConfig{}, ""},
		{"empty file", `{}`, "r.io", authn.AuthConfig{}, ""},
		{"identity token", `{"auths":{"r.io":{"auth":"` + encoded + `","identitytoken":"t"}}}`, "r.io",
			authn.AuthConfig{Username: "user", Password: "pass", IdentityToken: "t"}, ""},
		{"auths before credsStore", `{"auths":{"r.io":{"auth":"` + encoded + `"}},"credsStore":"absent"}`, "r.io", userPass, ""},
		{"another host's entry is undecodable", `{"auths":{"q.io":{"auth":"!"},"p.io":7,"r.io":{"auth":"` + encoded + `"}}}`, "r.io", userPass, ""},
		{"undecodable", `{"auths":{"r.io":{"auth":"!hunter2"}}}`, "r.io", authn.AuthConfig{}, `auths."r.io": "auth" is not the base64 of USER:PASSWORD`},
		{"no colon", `{"auths":{"r.io":{"auth":"aHVudGVyMg=="}}}`, "r.io", authn.AuthConfig{}, `auths."r.io": "auth" is not the base64 of USER:PASSWORD`},
		{"auth is a number", `{"auths":{"r.io":{"auth":7}}}`, "r.io", authn.AuthConfig{}, `auths."r.io": "auth": expected a string, got a JSON number`},
		{"entry is a text", `{"auths":{"r.io":"hunter2"}}`, "r.io", authn.AuthConfig{}, `auths."r.io": ".": expected an object, got a JSON string`},
		{"auths is a list", `{"auths":[]}`, "r.io", authn.AuthConfig{}, `config.json: "auths": expected an object, got a JSON array`},
		{"not JSON", `{"auths": hunter2}`, "r.io", authn.AuthConfig{}, "config.json: invalid JSON at byte "},
		{"helper that is not there", `{"credHelpers":{"r.io":"absent"}}`, "r.io", authn.AuthConfig{}, `credential helper "docker-credential-absent": `},
		{"helper that is a path", `{"credHelpers":{"r.io":"../absent"}}`, "r.io", authn.AuthConfig{}, `credential helper "../absent" is a path`},
	} {
		t.Run(test.name, func(t *testing.T) {
			useDockerConfig(t, test.config)
			checkCredentials(t, test.host, test.want, test.fault)
		})
	}
	t.Run("no file", func(t *testing.T) {
		t.Setenv("DOCKER_CONFIG", t.TempDir())
		checkCredentials(t, "r.io", authn.AuthConfig{}, "")
	})
	t.Run("in the home directory", func(t *testing.T) {
		home := t.TempDir()
		writeFile(t, filepath.Join(home, ".docker", "config.json"), []byte(`{"auths":{"r.io":{"auth":"`+encoded+`"}}}`))
		t.Setenv("DOCKER_CONFIG", "")
		t.Setenv("HOME", home)
		t.Setenv("USERPROFILE", home)
		checkCredentials(t, "r.io", userPass, "")
		t.Setenv("DOCKER_CONFIG", t.TempDir()) // which has none: that at home is not for us
		checkCredentials(t, "r.io", authn.AuthConfig{}, "")
	})
}

func checkCredentials(t *testing.T, host string, want authn.AuthConfig, fault string) {
	t.Helper()
	named, err := name.NewRegistry(host)
	if err != nil {
		t.Fatal(err)
	}
	found, err := registry.DockerConfig{}.Resolve(named)
	if fault != "" {
		wantError(t, err, fault)
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is in %q", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := authn.Authorization(t.Context(), found)
	if err != nil {
		t.Fatal(err)
	}
	got.Auth = "" // the library makes it from the others
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if empty := want == (authn.AuthConfig{}); empty != (found == authn.Anonymous) {
		t.Errorf("got %v, want anonymous: %v", found, empty)
	}
}

func TestCredentialHelpers(t *testing.T) {
	installHelper(t)
	const answer = `{"ServerURL":"r.io","Username":"user","Secret":"pass"}`
	userPass := authn.AuthConfig{Username: "user", Password: "pass"}
	for _, test := range []struct {
		name, config, host, server, answer, fails string
		want                                      authn.AuthConfig
		fault                                     string
	}{
		{"for the host", `{"credHelpers":{"r.io":"test"}}`, "r.io", "r.io", answer, "", userPass, ""},
		{"for the host, before auths", `{"auths":{"r.io":{"auth":"eDp5"}},"credHelpers":{"r.io":"test"}}`, "r.io", "r.io", answer, "", userPass, ""},
		{"for another host", `{"credHelpers":{"q.io":"test"}}`, "r.io", "r.io", answer, "", authn.AuthConfig{}, ""},
		{"for Docker Hub", `{"credHelpers":{"docker.io":"test"}}`, "docker.io", "https://index.docker.io/v1/", answer, "", userPass, ""},
		{"for all hosts", `{"credsStore":"test"}`, "r.io", "r.io", answer, "", userPass, ""},
		{"for all hosts, with the mark of docker login", `{"auths":{"r.io":{}},"credsStore":"test"}`, "r.io", "r.io", answer, "", userPass, ""},
		{"for all hosts, after auths", `{"auths":{"r.io":{"auth":"eDp5"}},"credsStore":"test"}`, "r.io", "r.io", answer, "", authn.AuthConfig{Username: "x", Password: "y"}, ""},
		{"that does not know the host", `{"credsStore":"test"}`, "r.io", "q.io", answer, "", authn.AuthConfig{}, ""},
		{"with an identity token", `{"credsStore":"test"}`, "r.io", "r.io", `{"Username":"<token>","Secret":"t"}`, "", authn.AuthConfig{IdentityToken: "t"}, ""},
		{"that fails", `{"credsStore":"test"}`, "r.io", "r.io", `{"Secret":"hunter2"}`, "1", authn.AuthConfig{}, `credential helper "docker-credential-test": exit status 1`},
		{"that talks", `{"credsStore":"test"}`, "r.io", "r.io", `unlocked hunter2`, "", authn.AuthConfig{}, `credential helper "docker-credential-test": its answer: invalid JSON at byte 1`},
		{"that answers otherwise", `{"credsStore":"test"}`, "r.io", "r.io", `{"Secret":["hunter2"]}`, "", authn.AuthConfig{}, `its answer: "Secret": expected a string`},
	} {
		t.Run(test.name, func(t *testing.T) {
			useDockerConfig(t, test.config)
			t.Setenv("HELPER_SERVER", test.server)
			t.Setenv("HELPER_ANSWER", test.answer)
			t.Setenv("HELPER_FAILS", test.fails)
			checkCredentials(t, test.host, test.want, test.fault)
		})
	}
}

// TestPullsWithAHelper has a registry that wants what only the helper knows.
func TestPullsWithAHelper(t *testing.T) {
	installHelper(t)
	s := tlsServer(t)
	s.push(t, "p:1", wasm("policy"))
	s.setAnswer(demandPassword("user", "pass"))
	useDockerConfig(t, `{"credsStore":"test"}`)
	t.Setenv("HELPER_SERVER", s.host)
	t.Setenv("HELPER_ANSWER", `{"Username":"user","Secret":"pass"}`)
	client := open(t, registry.Config{Sources: s.trusting()})
	got, err := pull(t, client, s.host+"/p:1")
	wantModule(t, got, err, wasm("policy"))
	if _, err := client.Push(t.Context(), parse(t, s.host+"/p:2"), large(), nil); err != nil {
		t.Error(err)
	}

	t.Setenv("HELPER_FAILS", "1")
	_, err = pull(t, client, s.host+"/p:1")
	var missing *registry.CredentialsError
	var failed *registry.FetchError
	if !errors.As(err, &missing) || missing.Host != s.host || missing.Refusal.StatusCode != http.StatusUnauthorized ||
		!errors.As(err, &failed) || !strings.Contains(failed.Hint(), "mend the entry") {
		t.Errorf("got error %v, want a CredentialsError that hints at the entry", err)
	}
	wantError(t, err, "401", "it was asked without credentials", `credential helper "docker-credential-test": exit status 1`)
}

func demandPassword(user, password string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if gotUser, gotPassword, _ := r.BasicAuth(); gotUser != user || gotPassword != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		}
	}
}

// installHelper builds docker-credential-test from testdata and puts it on the path.
func installHelper(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "docker-credential-test")
	if goruntime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/docker-credential-helper")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the helper: %v\n%s", err, output)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func FuzzDockerConfig(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"auths":{"r.io":{"auth":"dXNlcjpwYXNz"}}}`, `{"auths":{"https://r.io/v1/":{"auth":"!","identitytoken":"t"}},"credsStore":"x"}`,
		`{"auths":{"r.io":null},"credHelpers":{"r.io":"../x"}}`, `{"auths":[]}`, `{"auths":{"r.io":[]}}`, `[`,
	} {
		f.Add([]byte(seed))
	}
	target, err := name.NewRegistry("r.io")
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir()
	f.Setenv("DOCKER_CONFIG", dir)
	f.Setenv("PATH", dir) // no helper is there to be run
	f.Fuzz(func(t *testing.T, content []byte) {
		writeFile(t, filepath.Join(dir, "config.json"), content)
		found, err := registry.DockerConfig{}.Resolve(target)
		if (found == nil) == (err == nil) {
			t.Errorf("got %v and error %v, want one of them", found, err)
		}
	})
}
