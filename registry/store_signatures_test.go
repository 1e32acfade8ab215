package registry_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/registry"
)

// TestKeptSignatures holds that signatures are kept by repository and digest, replaced, removed,
// and never outside of the store.
func TestKeptSignatures(t *testing.T) {
	dir := t.TempDir()
	store := registry.NewStore(dir)
	digest := "@sha256:" + strings.Repeat("a", 64)
	ours, theirs := digestOf(t, "registry.test:5000/policies/p"+digest), digestOf(t, "registry.test:5000/copies/p"+digest)
	want := func(d name.Digest, content string, err error) {
		t.Helper()
		if got, gotErr := store.KeptSignatures(d, 10); string(got) != content || !errors.Is(gotErr, err) {
			t.Errorf("%s: got %q, %v; want %q, %v", d, got, gotErr, content, err)
		}
	}
	keep := func(d name.Digest, content []byte) {
		t.Helper()
		if err := store.KeepSignatures(d, content); err != nil {
			t.Fatal(err)
		}
	}
	want(ours, "", fs.ErrNotExist)
	keep(ours, []byte("one"))
	want(ours, "one", nil)
	want(theirs, "", fs.ErrNotExist)
	keep(theirs, []byte("another"))
	keep(ours, []byte("two"))
	want(ours, "two", nil)
	want(theirs, "another", nil)
	file := filepath.Join(dir, "signatures", "registry", "registry.test:5000", "policies", "p"+digest)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	if modules, err := store.List(); err != nil || len(modules) != 0 {
		t.Errorf("listed as modules: %v, %v", modules, err)
	}
	keep(ours, nil)
	keep(ours, nil)
	want(ours, "", fs.ErrNotExist)

	keep(ours, []byte("eleven byte"))
	var large *registry.TooLargeError
	if _, err := store.KeptSignatures(ours, 10); !errors.As(err, &large) || large.Limit != 10 {
		t.Errorf("got %v", err)
	}
	if err := store.KeepSignatures(digestOf(t, "registry.test/a/../../../b"+digest), []byte("x")); err == nil {
		t.Error("kept outside of the store")
	}
	var none registry.Store
	if err := none.KeepSignatures(ours, []byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := none.KeptSignatures(ours, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func digestOf(t *testing.T, text string) name.Digest {
	t.Helper()
	d, err := name.NewDigest(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
