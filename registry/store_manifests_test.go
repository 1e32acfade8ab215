package registry_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/registry"
	"policy-server/registry/internal/proof"
)

// TestPinnedModules pulls a module by digest, changes the store and the registry, and pulls it
// again.
func TestPinnedModules(t *testing.T) {
	down := func(_ *testing.T, s *server, _ string) { s.CloseClientConnections(); s.Listener.Close() }
	absent := func(_ *testing.T, s *server, _ string) { s.setAnswer(http.NotFound) }
	write := func(part string, content []byte) func(*testing.T, *server, string) {
		return func(t *testing.T, _ *server, dir string) { replaceStored(t, dir, part, content) }
	}
	all := func(changes ...func(*testing.T, *server, string)) func(*testing.T, *server, string) {
		return func(t *testing.T, s *server, dir string) {
			for _, change := range changes {
				change(t, s, dir)
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*testing.T, *server, string)
		want   string // part of the error; empty: the module
		reused bool   // what ReuseStored gives is not proven
	}{
		{"nothing changes", all(), "", false},
		{"registry down", down, "", false},
		{"module gone from the registry", absent, "", false},
		{"other file", write("registry", wasm("evil")), "", false},
		{"other file, registry down", all(write("registry", wasm("evil")), down), "connection refused; and the store cannot answer instead: a file in it has the digest sha256:", false},
		{"no file, registry down", all(write("registry", nil), down), "connection refused; and the store cannot answer instead: no such module is in it", false},
		{"other manifest", write("manifests", []byte(manifestJSON(layerJSON(layerType, wasm("evil"))))), "", false},
		{"other manifest, registry down", all(write("manifests", []byte(manifestJSON())), down), "the store cannot answer instead: a file in it has the digest sha256:", true},
		{"no manifest", write("manifests", nil), "", false},
		{"no manifest, registry down", all(write("manifests", nil), down), "the store cannot answer instead: manifest: ", true},
		{"no manifest, module gone from the registry", all(write("manifests", nil), absent), "404", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, reuse := range []bool{false, true} {
				s, dir := plainServer(t), t.TempDir()
				digest := s.push(t, "p:1", wasm("policy"))
				text := s.host + "/p@" + digest.DigestStr()
				client := open(t, registry.Config{Sources: s.trusting(), StoreDir: dir, ReuseStored: reuse})
				got, err := pull(t, client, text)
				wantModule(t, got, err, wasm("policy"))
				test.change(t, s, dir)
				artifact, err := client.Fetch(t.Context(), parse(t, text))
				switch {
				case err == nil && reuse && test.reused:
					if artifact.HasDigest() {
						t.Errorf("got digest %q for bytes nobody compared with it", artifact.Digest)
					}
					_, err = artifact.Module(t.Context(), proof.Signed(digest))
					wantError(t, err, "what was vouched for is another module")
					got, err = artifact.Module(t.Context(), registry.AllowUnsignedUnsafe(artifact.Digest))
					wantModule(t, got, err, wasm("policy"))
					continue
				case err == nil:
					got, err = artifact.Module(t.Context(), proof.Signed(digest))
				}
				if test.want != "" {
					wantError(t, err, test.want)
					continue
				}
				wantModule(t, got, err, wasm("policy"))
			}
		})
	}
}

// TestPinnedIndex holds that the manifest behind an index is kept too.
func TestPinnedIndex(t *testing.T) {
	s, dir := plainServer(t), t.TempDir()
	index := s.pushIndex(t, "p:1", wasm("policy"))
	client := open(t, registry.Config{Sources: s.trusting(), StoreDir: dir})
	for range 2 {
		got, err := pull(t, client, s.host+"/p@"+index)
		wantModule(t, got, err, wasm("policy"))
		s.Close()
	}
}

// TestTagsAreNeverProven holds that a tag's module is not taken from the store for what the tag
// means, however much of it is there.
func TestTagsAreNeverProven(t *testing.T) {
	s, dir := plainServer(t), t.TempDir()
	digest := s.push(t, "p:1", wasm("policy"))
	client := open(t, registry.Config{Sources: s.trusting(), StoreDir: dir})
	for _, text := range []string{s.host + "/p:1", s.host + "/p:1@" + digest.DigestStr()} {
		got, err := pull(t, client, text)
		wantModule(t, got, err, wasm("policy"))
	}
	s.Close()
	_, err := pull(t, client, s.host+"/p:1")
	var failed *registry.FetchError
	if !errors.As(err, &failed) || !strings.Contains(failed.Hint(), "by digest needs no registry") {
		t.Errorf("got %v", err)
	}
	wantError(t, err, "connection refused; and the store cannot answer instead: what a tag means only the registry can say")
}

// replaceStored writes content over every file of the store below part, or deletes them.
func replaceStored(t *testing.T, dir, part string, content []byte) {
	t.Helper()
	replaced := 0
	err := filepath.WalkDir(filepath.Join(dir, part), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		replaced++
		if content == nil {
			return os.Remove(path)
		}
		return os.WriteFile(path, content, 0o600)
	})
	if err != nil || replaced == 0 {
		t.Fatalf("replaced %d files, error %v", replaced, err)
	}
}

func TestStoredManifestsOutOfReach(t *testing.T) {
	s, dir := plainServer(t), t.TempDir()
	digest := s.push(t, "p:1", wasm("policy"))
	writeFile(t, filepath.Join(dir, "manifests"), []byte("a file where a directory belongs"))
	client := open(t, registry.Config{Sources: s.trusting(), StoreDir: dir})
	for range 2 {
		got, err := pull(t, client, s.host+"/p@"+digest.DigestStr())
		wantModule(t, got, err, wasm("policy"))
	}
	if n := s.count(http.MethodGet, "/manifests/"+strings.Split(digest.DigestStr(), "@")[0]); n != 2 {
		t.Errorf("the manifest was asked for %d times, want twice", n)
	}
}
