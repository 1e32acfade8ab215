package registry

import (
	"path/filepath"
	"strings"
	"testing"
)

// These tests are inside the package for the layout of another operating system than the one they
// run on.
func TestStoreLayout(t *testing.T) {
	hex := strings.Repeat("a", 64)
	for _, test := range []struct {
		text, unix, windows string
	}{
		{"ghcr.io/kubewarden/policies/pod-privileged:v0.2.2", "registry/ghcr.io/kubewarden/policies/pod-privileged:v0.2.2",
			"registry/Z2hjci5pbw/a3ViZXdhcmRlbg/cG9saWNpZXM/cG9kLXByaXZpbGVnZWQ6djAuMi4y"},
		{"registry://internal.host.company:5000/some/path/to/wasm-module.wasm:1.0.0", "registry/internal.host.company:5000/some/path/to/wasm-module.wasm:1.0.0",
			"registry/aW50ZXJuYWwuaG9zdC5jb21wYW55OjUwMDA/c29tZQ/cGF0aA/dG8/d2FzbS1tb2R1bGUud2FzbToxLjAuMA"},
		{"ghcr.io/p", "registry/ghcr.io/p:latest", "registry/Z2hjci5pbw/cDpsYXRlc3Q"},
		{"ghcr.io/p:latest", "registry/ghcr.io/p:latest", "registry/Z2hjci5pbw/cDpsYXRlc3Q"},
		{"ghcr.io/p@sha256:" + hex, "registry/ghcr.io/p@sha256:" + hex, ""},
		{"ghcr.io/p:latest@sha256:" + hex, "registry/ghcr.io/p:latest@sha256:" + hex, ""},
		{"busybox", "registry/busybox:latest", "registry/YnVzeWJveDpsYXRlc3Q"},
		{"https://github.com/o/r/releases/download/v0.1.6/policy.wasm?x=1", "https/github.com/o/r/releases/download/v0.1.6/policy.wasm", ""},
		{"https://user@example.com:8443/my%20policy.wasm", "https/example.com:8443/my%20policy.wasm", "https/ZXhhbXBsZS5jb206ODQ0Mw/bXklMjBwb2xpY3kud2FzbQ"},
		{"https://example.com/a/%2e%2e/%2Fetc", "https/example.com/a/%2e%2e/%2Fetc", ""},
	} {
		t.Run(test.text, func(t *testing.T) {
			ref, err := ParseReference(test.text)
			if err != nil {
				t.Fatal(err)
			}
			for goos, want := range map[string]string{"linux": test.unix, "darwin": test.unix, "windows": test.windows} {
				got := filepath.ToSlash(storeName(ref, goos))
				if want != "" && got != want {
					t.Errorf("%s: got %q, want %q", goos, got, want)
				}
				uri := strings.TrimSuffix(ref.URI(), ":latest")
				if back, err := storedURI(got, goos); err != nil || strings.TrimSuffix(back, ":latest") != uri {
					t.Errorf("%s: %q is listed as %q, %v; want %q", goos, got, back, err, uri)
				}
			}
		})
	}
}

func TestStoredURI_foreign(t *testing.T) {
	if got, err := storedURI("registry/ghcr.io/p:v1", "windows"); err == nil {
		t.Errorf("got %q", got)
	}
}

func TestStorePathOfFiles(t *testing.T) {
	ref, err := ParseReference("file:///tmp/policy.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if got := NewStore("/store").Path(ref); got != "/tmp/policy.wasm" {
		t.Errorf("got %q, want the file itself", got)
	}
}
