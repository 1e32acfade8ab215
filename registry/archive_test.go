package registry_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"policy-server/registry"
)

func saved(t testing.TB, store registry.Store) []byte {
	t.Helper()
	modules, err := store.List()
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := store.Save(&archive, modules); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestStore_SaveLoad(t *testing.T) {
	_, from := fill(t, map[string]string{
		"registry/localhost:5000/acme/pods:v1":                                                    "1",
		"https/git.example/my%20policy.wasm":                                                      "2",
		"registry/ghcr.io/" + strings.Repeat("long/", 50) + "p@sha256:" + strings.Repeat("a", 64): "3",
	})
	archive := saved(t, from)
	if !bytes.Equal(archive, saved(t, from)) {
		t.Error("two archives of the same modules differ")
	}
	root, to := fill(t, map[string]string{"registry/localhost:5000/acme/pods:v1": "old"})
	if err := to.Load(bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	if got, want := uris(t, to), uris(t, from); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got, err := os.ReadFile(filepath.Join(root, "registry/localhost:5000/acme/pods:v1")); err != nil || !bytes.Equal(got, wasm("1")) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestStore_Save_missing(t *testing.T) {
	root, store := fill(t, nil)
	err := store.Save(new(bytes.Buffer), []registry.StoredModule{{URI: "registry://ghcr.io/p:v1", File: filepath.Join(root, "registry/ghcr.io/p:v1")}})
	wantError(t, err, "cannot append policy registry://ghcr.io/p:v1 to tar file: ", "no such file")
}

// pack makes an archive of one entry.
func pack(t testing.TB, header tar.Header, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	header.Size = int64(len(content))
	if err := archive.WriteHeader(&header); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestStore_Load_foreign(t *testing.T) {
	const misplaced, elsewhere = "not the path of a stored module", "not in a directory called"
	for name, c := range map[string]struct {
		header  tar.Header
		content []byte
		want    string // "" for success
	}{
		"as packed by hand":   {tar.Header{Name: "./registry/ghcr.io/p:v1"}, wasm("1"), ""},
		"a directory":         {tar.Header{Name: "registry/", Typeflag: tar.TypeDir}, nil, ""},
		"climbs":              {tar.Header{Name: "registry/../../p.wasm"}, wasm("1"), misplaced},
		"climbs at once":      {tar.Header{Name: "../registry/p.wasm"}, wasm("1"), elsewhere},
		"absolute":            {tar.Header{Name: "/registry/ghcr.io/p:v1"}, wasm("1"), elsewhere},
		"absolute below":      {tar.Header{Name: "registry//etc/p:v1"}, wasm("1"), misplaced},
		"another scheme":      {tar.Header{Name: "file/tmp/p.wasm"}, wasm("1"), elsewhere},
		"beside the schemes":  {tar.Header{Name: "registry"}, wasm("1"), elsewhere},
		"a half-written file": {tar.Header{Name: "registry/ghcr.io/.partial-1"}, wasm("1"), misplaced},
		"a link":              {tar.Header{Name: "registry/ghcr.io", Typeflag: tar.TypeSymlink, Linkname: "/etc"}, nil, "not a regular file"},
		"a hard link":         {tar.Header{Name: "registry/ghcr.io", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, nil, "not a regular file"},
		"no module":           {tar.Header{Name: "registry/ghcr.io/p:v1"}, []byte("#!/bin/sh"), "invalid wasm file"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.header.Typeflag == 0 {
				c.header.Typeflag = tar.TypeReg
			}
			parent := t.TempDir()
			store := registry.NewStore(filepath.Join(parent, "cache", "store"))
			err := store.Load(bytes.NewReader(pack(t, c.header, c.content)))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantError(t, err, "entry ", c.want)
			if entries, err := os.ReadDir(parent); err != nil || len(entries) > 0 {
				t.Errorf("something was written: %v, %v", entries, err)
			}
		})
	}
	for name, archive := range map[string][]byte{
		"empty":     nil,
		"no gzip":   wasm("1"),
		"endless":   unfinished(t),
		"truncated": pack(t, tar.Header{Name: "registry/ghcr.io/p:v1", Typeflag: tar.TypeReg}, bytes.Repeat(wasm("1"), 1000))[:60],
	} {
		if err := registry.NewStore(t.TempDir()).Load(bytes.NewReader(archive)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// unfinished makes an archive whose entry announces more than fits, and holds nothing.
func unfinished(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	if err := tar.NewWriter(compressed).WriteHeader(&tar.Header{Name: "registry/ghcr.io/p:v1", Typeflag: tar.TypeReg, Size: registry.DefaultMaxModuleBytes + 1}); err != nil {
		t.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzStore_Load holds that what is unpacked is listed, and that nothing lies elsewhere.
func FuzzStore_Load(f *testing.F) {
	root := f.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "registry", "ghcr.io"), 0o700); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "registry", "ghcr.io", "p:v1"), wasm("1"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Add("registry/ghcr.io/p:v1", byte(tar.TypeReg), []byte{}, wasm("1"))
	f.Add("https/../../p", byte(tar.TypeSymlink), saved(f, registry.NewStore(root)), []byte("x"))
	f.Fuzz(func(t *testing.T, name string, kind byte, archive, content []byte) {
		parent := t.TempDir()
		store := registry.NewStore(filepath.Join(parent, "store"))
		_ = store.Load(bytes.NewReader(archive))
		var packed bytes.Buffer
		compressed := gzip.NewWriter(&packed)
		entries := tar.NewWriter(compressed)
		if entries.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Size: int64(len(content))}) == nil {
			_, _ = entries.Write(content)
			_, _ = entries.Close(), compressed.Close()
			_ = store.Load(&packed)
		}
		files := 0
		err := filepath.WalkDir(parent, func(_ string, entry os.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				files++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if modules, err := store.List(); err != nil || len(modules) != files {
			t.Errorf("%d files, %d modules, %v", files, len(modules), err)
		}
	})
}
