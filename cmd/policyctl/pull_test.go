package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPull(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	module := u.annotated("accepts", podMetadata)
	u.pushed(module, host+"/acme/pods:v1")
	u.pushed(module, host+"/acme/pods")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(read(t, module)) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the first attempt does not like the certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	web := server.Listener.Addr().String()
	sources := u.writes("sources.yaml", "insecure_sources: ['"+host+"', '"+web+"']\nodd: 1\n")
	for name, c := range map[string]struct{ uri, stored string }{
		"tag":              {"registry://" + host + "/acme/pods:v1", "registry/" + host + "/acme/pods:v1"},
		"no tag":           {"registry://" + host + "/acme/pods", "registry/" + host + "/acme/pods:latest"},
		"bare reference":   {host + "/acme/pods", "registry/" + host + "/acme/pods:latest"},
		"trailing blank":   {host + "/acme/pods:v1 ", "registry/" + host + "/acme/pods:v1"},
		"download":         {"https://" + web + "/policy.wasm", "https/" + web + "/policy.wasm"},
		"nothing to fetch": {"file://" + module, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			places, err := findPlaces()
			if err != nil {
				t.Fatal(err)
			}
			r := u.must("pull", "--sources-path", sources, c.uri)
			if r.stdout != "" || !strings.Contains(r.stderr, `WARN kwctl: sources file file="`+sources+`" warning="odd: unknown key, ignored"`) {
				t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
			}
			if c.stored != "" && !bytes.Equal(read(t, filepath.Join(places.storeDir(), c.stored)), read(t, module)) {
				t.Error("something else was stored")
			}
		})
	}
}

func TestPull_output(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	module := u.annotated("accepts", podMetadata)
	u.pushed(module, host+"/acme/pods:v1")
	u.pushed(module, host+"/acme/pods")
	for name, c := range map[string]struct{ uri, output, written string }{
		"file":                 {host + "/acme/pods:v1", "new.wasm", "new.wasm"},
		"file, latest":         {host + "/acme/pods", "latest.wasm", "latest.wasm"},
		"file that is there":   {host + "/acme/pods:v1", "old.wasm", "old.wasm"},
		"directory":            {host + "/acme/pods:v1", ".", "pods:v1"},
		"directory and latest": {"registry://" + host + "/acme/pods", ".", "pods:latest"},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			u.writes("old.wasm", "old")
			u.must("pull", c.uri, "-o", filepath.Join(u.dir, c.output))
			if !bytes.Equal(read(t, filepath.Join(u.dir, c.written)), read(t, module)) {
				t.Error("something else was written")
			}
		})
	}
	if stored, err := u.places.store().List(); err != nil || len(stored) > 0 {
		t.Errorf("%v was stored, %v", stored, err)
	}
}

// TestPull_again holds that what is stored is not asked for again, but the tag latest is, and a
// digest whose stored module is another one.
func TestPull_again(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	module := u.annotated("accepts", podMetadata)
	for _, tag := range []string{":v1", ":latest"} {
		u.pushed(module, host+"/pods"+tag)
		u.must("pull", host+"/pods"+tag)
	}
	pinned := host + "/pods@" + u.pushed(module, host+"/pods:v1").DigestStr()
	u.must("pull", pinned)
	stop()
	u.must("pull", host+"/pods:v1")
	u.must("pull", pinned)
	if err := os.WriteFile(filepath.Join(u.places.storeDir(), "registry", pinned), read(t, guest(t, "traps")), 0o600); err != nil {
		t.Fatal(err)
	}
	u.does("pull", pinned).fails(t, `Error: fetch "registry://`+pinned+`": `)
	u.does("pull", host+"/pods:latest").fails(t, `Error: fetch "registry://`+host+`/pods:latest": `)
	u.does("pull", host+"/pods:v1", "-k", guest(t, "accepts")).fails(t, "Error: verification key ")
}

func TestPull_errors(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	u.pushed(u.annotated("accepts", podMetadata), host+"/pods:v1")
	secure := u.writes("none.yaml", "")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"missing":            {[]string{host + "/none:v1"}, "\nHint: check the repository and the tag"},
		"plain HTTP":         {[]string{"--sources-path", secure, host + "/pods:v1"}, "\nHint: serve \"" + host + "\" over https, or list it under insecure_sources"},
		"no place to write":  {[]string{host + "/pods:v1", "-o", filepath.Join(u.dir, "none", "p.wasm")}, "No such file or directory"},
		"unknown scheme":     {[]string{"ftp://" + host + "/pods"}, "Error: unknown scheme: ftp"},
		"no reference":       {[]string{"UPPER"}, "Error: Invalid OCI image reference: "},
		"verified file":      {[]string{"-k", u.writes("k.pem", testKey), "file://" + guest(t, "accepts")}, "Error: Policy file://" + guest(t, "accepts") + " cannot be validated\nInvalid OCI image reference: "},
		"verified, unsigned": {[]string{"-k", u.writes("k.pem", testKey), host + "/pods:v1"}, "Image verification failed: missing signatures"},
	} {
		t.Run(name, func(t *testing.T) { u.does(append([]string{"pull"}, c.args...)...).fails(t, c.want) })
	}
}
