package registry_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/registry"
	"policy-server/registry/internal/proof"
)

func TestModuleNeedsAVouchedDigest(t *testing.T) {
	s := plainServer(t)
	one, two := s.push(t, "p:1", wasm("one")), s.push(t, "p:2", wasm("two"))
	elsewhere := s.push(t, "q:1", wasm("one"))
	client := open(t, registry.Config{Sources: s.trusting(), StoreDir: t.TempDir()})
	artifact, err := client.Fetch(t.Context(), parse(t, s.host+"/p:1"))
	if err != nil {
		t.Fatal(err)
	}
	artifact.Digest = two // whatever a caller does to the field
	for _, test := range []struct {
		name string
		v    registry.VerifiedDigest
		want string
	}{
		{"zero", registry.VerifiedDigest{}, "nobody vouches for the module"},
		{"another module's", proof.Signed(two), "what was vouched for is another module"},
		{"the same digest in another repository", proof.Signed(elsewhere), "what was vouched for is another module"},
		{"none", registry.AllowUnsignedUnsafe(name.Digest{}), "what was vouched for is another module"},
		{"signed", proof.Signed(one), ""},
		{"unsigned", registry.AllowUnsignedUnsafe(one), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := artifact.Module(t.Context(), test.v)
			if test.want != "" {
				wantError(t, err, test.want)
				return
			}
			wantModule(t, got, err, wasm("one"))
		})
	}
}

func TestModuleAfterTheRegistryChanged(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*testing.T, *server)
		signed bool
		want   string
	}{
		{"nothing", func(*testing.T, *server) {}, true, ""},
		{"tag moved", func(t *testing.T, s *server) { s.push(t, "p:1", wasm("evil!!")) }, true, ""},
		{"other bytes, signed", serveBlobs(wasm("evil!!")), true,
			"The digest of the local file doesn't match with the one reported inside of the signed manifest. Got "},
		{"other bytes", serveBlobs(wasm("evil!!")), false, "Fail to interact with OCI registry: Invalid digest. Expected sha256:"},
		{"fewer bytes", serveBlobs(wasm("")), false, "Invalid digest. Expected sha256:"},
		{"more bytes", serveBlobs(append(wasm("policy"), 0)), false, "Invalid digest. Expected sha256:"},
		{"no bytes", serveBlobs([]byte{}), false, "Invalid digest. Expected sha256:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := plainServer(t), t.TempDir()
			s.push(t, "p:1", wasm("policy"))
			client := open(t, registry.Config{Sources: s.trusting(), StoreDir: dir})
			artifact, err := client.Fetch(t.Context(), parse(t, s.host+"/p:1"))
			if err != nil {
				t.Fatal(err)
			}
			test.change(t, s)
			manifests := s.count(http.MethodGet, "/manifests/")
			v := registry.AllowUnsignedUnsafe(artifact.Digest)
			if test.signed {
				v = proof.Signed(artifact.Digest)
			}
			got, err := artifact.Module(t.Context(), v)
			if after := s.count(http.MethodGet, "/manifests/"); after != manifests {
				t.Errorf("%d manifests were asked for again", after-manifests)
			}
			path := registry.NewStore(dir).Path(artifact.Reference)
			if test.want == "" {
				wantModule(t, got, err, wasm("policy"))
				wantFile(t, path, wasm("policy"))
				return
			}
			wantError(t, err, test.want)
			var mismatch *registry.DigestMismatchError
			if !errors.As(err, &mismatch) || mismatch.Signed != test.signed || "sha256:"+mismatch.Want != sha(wasm("policy")) {
				t.Errorf("got error %#v", mismatch)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the wrong bytes are in the store: %v", err)
			}
		})
	}
}

func serveBlobs(content []byte) func(*testing.T, *server) {
	return func(_ *testing.T, s *server) {
		s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				_, _ = w.Write(content)
			}
		})
	}
}

func TestModuleThatIsNone(t *testing.T) {
	s, dir := plainServer(t), t.TempDir()
	s.push(t, "p:1", wasm("policy"))
	text := []byte("plain text")
	s.put(t, "p:2", imageType, []byte(manifestJSON(layerJSON(layerType, text))))
	serveBlobs(text)(t, s)
	_, err := pull(t, open(t, registry.Config{Sources: s.trusting(), StoreDir: dir}), s.host+"/p:2")
	wantError(t, err, "invalid wasm file")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("got %v in the store, error %v, want nothing", entries, err)
	}
}

func TestStoredModules(t *testing.T) {
	for _, test := range []struct {
		name   string
		stored []byte // what is in the place of the module; nil: nothing
		blobs  int    // how many are read then
	}{
		{"absent", nil, 1},
		{"the module", wasm("policy"), 0},
		{"other bytes", wasm("evil!!"), 1},
		{"cut short", wasm("pol"), 1},
		{"longer", wasm("policy and more"), 1},
		{"empty", []byte{}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, dir := plainServer(t), t.TempDir()
			s.push(t, "p:1", wasm("policy"))
			path := registry.NewStore(dir).Path(parse(t, s.host+"/p:1"))
			if test.stored != nil {
				writeFile(t, path, test.stored)
			}
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting(), StoreDir: dir}), s.host+"/p:1")
			wantModule(t, got, err, wasm("policy"))
			wantFile(t, path, wasm("policy"))
			if n := s.count(http.MethodGet, "/blobs/"); n != test.blobs {
				t.Errorf("%d blobs were read, want %d", n, test.blobs)
			}
		})
	}
}

func TestReuseStored(t *testing.T) {
	s := plainServer(t)
	s.push(t, "p:1", wasm("policy"))
	s.push(t, "p:latest", wasm("policy"))
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".wasm") {
			_, _ = w.Write(wasm("policy"))
		}
	})
	for _, test := range []struct {
		name, text string
		reused     bool
	}{
		{"tag", s.host + "/p:1", true},
		{"tag latest", s.host + "/p:latest", false},
		{"no tag", s.host + "/p", false},
		{"http", "http://" + s.host + "/p.wasm", true},
		{"http with a query", "http://" + s.host + "/p.wasm?v=2", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, ref := t.TempDir(), parse(t, test.text)
			writeFile(t, registry.NewStore(dir).Path(ref), wasm("stored"))
			for reuse, want := range map[bool][]byte{true: wasm("stored"), false: wasm("policy")} {
				if reuse && !test.reused {
					want = wasm("policy")
				}
				before := s.count("", "/")
				got, err := pull(t, open(t, registry.Config{Sources: s.trusting(), StoreDir: dir, ReuseStored: reuse}), test.text)
				wantModule(t, got, err, want)
				if asked := s.count("", "/") != before; asked == (reuse && test.reused) {
					t.Errorf("reuse %v: asked the server: %v", reuse, asked)
				}
				writeFile(t, registry.NewStore(dir).Path(ref), wasm("stored"))
			}
		})
	}
}

func TestStoreFailure(t *testing.T) {
	s, dir := plainServer(t), t.TempDir()
	s.push(t, "p:1", wasm("policy"))
	writeFile(t, filepath.Join(dir, "registry"), []byte("a file where a directory belongs"))
	_, err := pull(t, open(t, registry.Config{Sources: s.trusting(), StoreDir: dir}), s.host+"/p:1")
	wantError(t, err, `wasm module cannot be save to "`+registry.NewStore(dir).Path(parse(t, s.host+"/p:1"))+`": `)
}

// TestLeftovers has files of processes that ended while they wrote: old ones go, new ones may still
// be written.
func TestLeftovers(t *testing.T) {
	s, dir := plainServer(t), t.TempDir()
	s.push(t, "p:1", wasm("policy"))
	path := registry.NewStore(dir).Path(parse(t, s.host+"/p:1"))
	dead, alive := filepath.Join(filepath.Dir(path), ".partial-1"), filepath.Join(filepath.Dir(path), ".partial-2")
	writeFile(t, dead, wasm("pol"))
	writeFile(t, alive, wasm("pol"))
	yesterday := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(dead, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	got, err := pull(t, open(t, registry.Config{Sources: s.trusting(), StoreDir: dir}), s.host+"/p:1")
	wantModule(t, got, err, wasm("policy"))
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old file: got %v, want that it is gone", err)
	}
	if _, err := os.Stat(alive); err != nil {
		t.Errorf("the new file: %v", err)
	}
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	wantModule(t, got, err, want)
	siblings, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(siblings) != 1 {
		t.Errorf("got %v beside the module, error %v", siblings, err)
	}
	for dir := filepath.Dir(path); filepath.Base(dir) != "registry"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("directory %q: got mode %v, error %v, want 0700", dir, info.Mode(), err)
		}
	}
}
