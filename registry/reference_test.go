package registry_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/registry"
)

func TestParseReference(t *testing.T) {
	const host = "registry.local.lan:5000"
	for _, test := range []struct {
		name, text, scheme, host, uri, file string
	}{
		{"file", "file:///tmp/policy.wasm", "file", "", "file:///tmp/policy.wasm", "/tmp/policy.wasm"},
		{"file on this host", "file://localhost/tmp/policy.wasm", "file", "", "file:///tmp/policy.wasm", "/tmp/policy.wasm"},
		{"file with one slash", "file:/tmp/policy.wasm", "file", "", "file:///tmp/policy.wasm", "/tmp/policy.wasm"},
		{"file with escapes", "file:///tmp/my%20policy.wasm", "file", "", "file:///tmp/my%20policy.wasm", "/tmp/my policy.wasm"},
		{"file with dot segments", "file:///tmp/a/../b.wasm", "file", "", "file:///tmp/b.wasm", "/tmp/b.wasm"},
		{"registry", "registry://ghcr.io/kubewarden/policies/test:1.2", "registry", "ghcr.io", "registry://ghcr.io/kubewarden/policies/test:1.2", ""},
		{"upper-case scheme", "Registry://ghcr.io/p", "registry", "ghcr.io", "registry://ghcr.io/p", ""},
		{"no scheme, tag", "ghcr.io/kubewarden/policies/test:1.2", "registry", "ghcr.io", "registry://ghcr.io/kubewarden/policies/test:1.2", ""},
		{"no scheme, no tag", "ghcr.io/kubewarden/policies/test", "registry", "ghcr.io", "registry://ghcr.io/kubewarden/policies/test", ""},
		{"no scheme, port", host + "/kubewarden/policies/test", "registry", host, "registry://" + host + "/kubewarden/policies/test", ""},
		{"a port that looks like a scheme", "ghcr.io:443/kubewarden/p:latest", "registry", "ghcr.io:443", "registry://ghcr.io:443/kubewarden/p:latest", ""},
		{"a host called registry", "registry:5000/p", "registry", "registry:5000", "registry://registry:5000/p", ""},
		{"registry by address", "registry://192.168.1.2:5000/kubewarden/policies/test", "registry", "192.168.1.2:5000", "registry://192.168.1.2:5000/kubewarden/policies/test", ""},
		{"registry by IPv6 address", "[::1]:5000/p:1", "registry", "[::1]:5000", "registry://[::1]:5000/p:1", ""},
		{"http", "http://192.168.1.2:5000/kubewarden/policies/test", "http", "192.168.1.2:5000", "http://192.168.1.2:5000/kubewarden/policies/test", ""},
		{"https", "https://" + host + "/kubewarden/policies/test", "https", host, "https://" + host + "/kubewarden/policies/test", ""},
		{"https, blanks around", " https://example.com/policy.wasm \n", "https", "example.com", "https://example.com/policy.wasm", ""},
		{"https, default port", "https://example.com:443/policy.wasm", "https", "example.com", "https://example.com/policy.wasm", ""},
		{"http, default port", "http://example.com:80/policy.wasm", "http", "example.com", "http://example.com/policy.wasm", ""},
		{"https, upper case", "HTTPS://Example.COM/Policy.wasm", "https", "example.com", "https://example.com/Policy.wasm", ""},
		{"https, secrets left out", "https://user@example.com/p.wasm?token=secret#x", "https", "example.com", "https://example.com/p.wasm", ""},
		{"https, dot segments", "https://example.com/a/../../b.wasm", "https", "example.com", "https://example.com/b.wasm", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ref := parse(t, test.text)
			if got := []string{ref.String(), ref.Scheme(), ref.Host(), ref.URI(), ref.FilePath()}; strings.Join(got, "\n") !=
				strings.Join([]string{test.text, test.scheme, test.host, test.uri, test.file}, "\n") {
				t.Errorf("got %q, want %q", got, test)
			}
		})
	}
}

func TestReferenceOCI(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for _, test := range []struct {
		text, registry, repository, identifier string
	}{
		{"busybox", "index.docker.io", "library/busybox", "latest"},
		{"opensuse/leap:15.3", "index.docker.io", "opensuse/leap", "15.3"},
		{"docker.io/opensuse/leap", "index.docker.io", "opensuse/leap", "latest"},
		{"index.docker.io/busybox:1", "index.docker.io", "library/busybox", "1"},
		{"localhost:5000/psp-apparmor", "localhost:5000", "psp-apparmor", "latest"},
		{"localhost/p", "localhost", "p", "latest"},
		{"test.com:5000", "index.docker.io", "library/test.com", "5000"},
		{"test:5000/repo", "test:5000", "repo", "latest"},
		{"b.gcr.io/test.example.com/my-app:test.example.com", "b.gcr.io", "test.example.com/my-app", "test.example.com"},
		{"r.io/p@sha256:" + hex, "r.io", "p", "sha256:" + hex},
		{"r.io/p:v1@sha256:" + hex, "r.io", "p", "sha256:" + hex},
		{"registry://ghcr.io/a__b/c--d/e.f_g:v1", "ghcr.io", "a__b/c--d/e.f_g", "v1"},
	} {
		t.Run(test.text, func(t *testing.T) {
			got, err := parse(t, test.text).OCI()
			if err != nil {
				t.Fatal(err)
			}
			if got.Context().RegistryStr() != test.registry || got.Context().RepositoryStr() != test.repository ||
				got.Identifier() != test.identifier {
				t.Errorf("got %q, want %q", got.Name(), test)
			}
			if _, isDigest := got.(name.Digest); isDigest != strings.Contains(test.text, "@") {
				t.Errorf("got a %T for %q", got, test.text)
			}
		})
	}
}

func TestReferenceErrors(t *testing.T) {
	const invalid = "Invalid OCI image reference: "
	for _, test := range []struct {
		name, text, want string
	}{
		{"empty", "", invalid + "repository name must have at least one component"},
		{"scheme only", "registry://", invalid + "repository name must have at least one component"},
		{"unknown scheme", "oci://ghcr.io/p", "unknown scheme: oci"},
		{"scheme that is none", "ghcr.io/p://x", invalid + "invalid reference format"},
		{"upper-case repository", "ghcr.io/Kubewarden/p", invalid + "invalid reference format"},
		{"upper-case organisation", "Kubewarden/p", invalid + "invalid reference format"},
		{"climbing out", "ghcr.io/../../etc/passwd", invalid + "invalid reference format"},
		{"doubled slash", "ghcr.io//p", invalid + "invalid reference format"},
		{"query", "registry://ghcr.io/p?x=1", invalid + "invalid reference format"},
		{"user", "registry://user@ghcr.io/p", invalid + "invalid reference format"},
		{"blank inside", "ghcr.io/a b", invalid + "invalid reference format"},
		{"empty tag", "ghcr.io/p:", invalid + "invalid reference format"},
		{"tag too long", "ghcr.io/p:" + strings.Repeat("t", 129), invalid + "invalid reference format"},
		{"repository too long", "ghcr.io/" + strings.Repeat("r", 256), invalid + "repository name must not be more than 255 characters"},
		{"digest not in hex", "ghcr.io/p@sha256:" + strings.Repeat("x", 64), invalid + "invalid reference format"},
		{"digest in upper case", "ghcr.io/p@sha256:" + strings.Repeat("A", 64), invalid + "invalid checksum digest format"},
		{"digest too short", "ghcr.io/p@sha256:" + strings.Repeat("a", 63), invalid + "invalid checksum digest length"},
		{"long digest too short", "ghcr.io/p@sha512:" + strings.Repeat("a", 64), invalid + "invalid checksum digest length"},
		{"digest that cannot be checked", "ghcr.io/p@sha512:" + strings.Repeat("a", 128), invalid + "unsupported digest algorithm"},
		{"unknown digest", "ghcr.io/p@md5:" + strings.Repeat("a", 32), invalid + "unsupported digest algorithm"},
		{"port is no number", "busybox:1.0", "invalid port number"},
		{"port too large", "ghcr.io:70000/p", "invalid port number"},
		{"https port too large", "https://example.com:70000/p", "invalid port number"},
		{"no host", "https:///policy.wasm", "empty host"},
		{"host of dots", "https://../policy.wasm", "empty host"},
		{"zone", "https://[fe80::1%25eth0]/policy.wasm", "invalid domain character"},
		{"no path", "https://example.com/", "https://example.com names no module: a path is missing"},
		{"relative file", "file://policy.wasm", `"file://policy.wasm" names no file: a file reference holds an absolute path, as in file:///tmp/policy.wasm`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if ref, err := registry.ParseReference(test.text); err == nil || err.Error() != test.want {
				t.Errorf("got %q and error %v, want error %q", ref.URI(), err, test.want)
			}
		})
	}
}

func TestReferencesKeepPasswords(t *testing.T) {
	ref := parse(t, "https://user:hunter2@example.com/p.wasm")
	if printed := fmt.Sprintf("%v %s %+v", ref, ref, struct{ R registry.Reference }{ref}); strings.Contains(printed, "hunter2") {
		t.Errorf("the password is in %q", printed)
	}
	_, err := registry.ParseReference("https://user:hunter2@exa mple.com/p")
	wantError(t, err, "invalid URL: ")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the password is in %q", err)
	}
}

func TestReferenceOCIOfOtherSchemes(t *testing.T) {
	for _, text := range []string{"file:///p.wasm", "https://example.com/p.wasm", "http://example.com/p.wasm"} {
		_, err := parse(t, text).OCI()
		var invalid *registry.InvalidReferenceError
		if !errors.As(err, &invalid) {
			t.Errorf("%q: got error %v, want an InvalidReferenceError", text, err)
		}
		wantError(t, err, "Invalid OCI image reference: ", "only modules in a registry can be verified")
	}
}

func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{
		"file:///tmp/policy.wasm", "registry://ghcr.io/kubewarden/policies/test:1.2", "ghcr.io:443/p:latest", "busybox",
		"https://user:secret@example.com:443/a/../b?token=x", "http://[fe80::1%25eth0]/p", "r.io/p:v1@sha256:" + strings.Repeat("a", 64),
		" https://h/p ", "oci://x", "https://../x", "file:/%00", "a/../b", "[::1]:5000/p",
	} {
		f.Add(seed)
	}
	root := f.TempDir()
	store := registry.NewStore(root)
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := registry.ParseReference(text)
		if err != nil {
			return
		}
		again, err := registry.ParseReference(ref.URI())
		if err != nil || again.URI() != ref.URI() || again.Host() != ref.Host() {
			t.Errorf("%q: its URI %q is read as %q: %v", text, ref.URI(), again.URI(), err)
		}
		if _, err := ref.OCI(); (err == nil) != (ref.Scheme() == registry.SchemeRegistry) {
			t.Errorf("%q: OCI: %v", text, err)
		}
		below := filepath.Join(root, ref.Scheme()) + string(filepath.Separator)
		if path := store.Path(ref); ref.Scheme() != registry.SchemeFile && !strings.HasPrefix(path, below) {
			t.Errorf("%q would be stored in %q, outside %q", text, path, below)
		}
	})
}
