package registry_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"policy-server/registry"
)

// fill makes a store of files, each a module of its own content.
func fill(t *testing.T, files map[string]string) (root string, store registry.Store) {
	t.Helper()
	root = t.TempDir()
	for path, content := range files {
		writeFile(t, filepath.Join(root, path), wasm(content))
	}
	return root, registry.NewStore(root)
}

func uris(t *testing.T, store registry.Store) []string {
	t.Helper()
	modules, err := store.List()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, module := range modules {
		found = append(found, module.URI)
	}
	return found
}

func sum(content string) string {
	hash := sha256.Sum256(wasm(content))
	return hex.EncodeToString(hash[:])
}

func TestStore_List(t *testing.T) {
	_, store := fill(t, map[string]string{
		"registry/ghcr.io/acme/pods:v1":             "1",
		"registry/localhost:5000/pods:latest":       "2",
		"https/git.example/o/r/v0.1.6/policy.wasm":  "3",
		"https/git.example:8443/my%20policy.wasm":   "4",
		"http/git.example/.hidden.wasm":             "5",
		"registry/ghcr.io/acme/.partial-1":          "6",
		"file/tmp/policy.wasm":                      "7",
		"elsewhere.wasm":                            "8",
		"registry/ghcr.io/acme/p@sha256:0123456789": "9",
	})
	want := []string{
		"http://git.example/.hidden.wasm",
		"https://git.example/o/r/v0.1.6/policy.wasm",
		"https://git.example:8443/my%20policy.wasm",
		"registry://ghcr.io/acme/p@sha256:0123456789",
		"registry://ghcr.io/acme/pods:v1",
		"registry://localhost:5000/pods:latest",
	}
	if got := uris(t, store); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, store := range map[string]registry.Store{"missing": registry.NewStore(filepath.Join(t.TempDir(), "none")), "none": registry.NewStore("")} {
		if got := uris(t, store); got != nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestStore_Lookup(t *testing.T) {
	root, store := fill(t, map[string]string{"registry/ghcr.io/p:latest": "1"})
	for uri, want := range map[string]bool{
		"registry://ghcr.io/p:latest": true, "registry://ghcr.io/p": true,
		"registry://ghcr.io/p:v1": false, "https://ghcr.io/p:latest": false,
	} {
		module, found, err := store.Lookup(uri)
		if err != nil || found != want || found && module.File != filepath.Join(root, "registry/ghcr.io/p:latest") {
			t.Errorf("%s: %+v, %t, %v", uri, module, found, err)
		}
	}
	for uri, want := range map[string]string{"ftp://ghcr.io/p": "unknown scheme: ftp", "file://" + root: "unknown scheme: file", "registry://UPPER": "Invalid OCI image reference"} {
		_, _, err := store.Lookup(uri)
		wantError(t, err, want)
	}
}

func TestStore_LookupSHA256(t *testing.T) {
	_, store := fill(t, map[string]string{"registry/ghcr.io/p:v1": "1", "registry/ghcr.io/q:v1": "2", "https/git.example/q.wasm": "2"})
	for _, prefix := range []string{sum("1"), sum("1")[:12]} {
		if module, found, err := store.LookupSHA256(prefix); err != nil || !found || module.URI != "registry://ghcr.io/p:v1" {
			t.Errorf("%s: %+v, %t, %v", prefix, module, found, err)
		}
	}
	for _, prefix := range []string{sum("3"), "", sum("1") + "0", "ABCDEF", "sha256:" + sum("1")} {
		if module, found, err := store.LookupSHA256(prefix); err != nil || found {
			t.Errorf("%q: %+v, %v", prefix, module, err)
		}
	}
	_, _, err := store.LookupSHA256(sum("2")[:8])
	wantError(t, err, "multiple policies found with the same prefix: "+sum("2")[:8])
	var ambiguous *registry.AmbiguousPrefixError
	if !errors.As(err, &ambiguous) || ambiguous.Hint() != "use one of the URIs: https://git.example/q.wasm, registry://ghcr.io/q:v1" {
		t.Errorf("got %+v", ambiguous)
	}
}

func TestStoredModule_SHA256(t *testing.T) {
	root, store := fill(t, map[string]string{"registry/ghcr.io/p:v1": "1"})
	module, _, err := store.Lookup("registry://ghcr.io/p:v1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := module.SHA256(); err != nil || got != sum("1") {
		t.Errorf("got %s, %v", got, err)
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	_, err = module.SHA256()
	wantError(t, err, "cannot retrieve path from uri: ")
}

func TestStore_Remove(t *testing.T) {
	root, store := fill(t, map[string]string{"registry/ghcr.io/acme/p:v1": "1", "registry/ghcr.io/q:v1": "2"})
	for _, c := range []struct{ uri, gone, kept string }{
		{"registry://ghcr.io/acme/p:v1", "registry/ghcr.io/acme", "registry/ghcr.io/q:v1"},
		{"registry://ghcr.io/q:v1", "registry", ""},
	} {
		module, _, err := store.Lookup(c.uri)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Remove(module); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, c.gone)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %s is still there: %v", c.uri, c.gone, err)
		}
		if _, err := os.Stat(filepath.Join(root, c.kept)); err != nil {
			t.Error(err)
		}
		if err := store.Remove(module); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the second time: %v", err)
		}
	}
}
