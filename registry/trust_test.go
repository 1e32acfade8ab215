package registry_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"policy-server/registry"
	"policy-server/registry/internal/proof"
)

// TestRegistryThatLies has a registry that gives other bytes than it gave, or promised, before.
// What Fetch said is what Module returns, or there is no module.
func TestRegistryThatLies(t *testing.T) {
	evil := wasm("evil!!")
	evilManifest := []byte(manifestJSON(layerJSON(layerType, evil)))
	answer := func(path string, content []byte) func(*testing.T, *server) {
		return func(_ *testing.T, s *server) {
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, path) {
					serve(content, "")(w, r)
				}
			})
		}
	}
	never := func(*testing.T, *server) {}
	for _, test := range []struct {
		name          string
		before, after func(*testing.T, *server) // when a digest is asked for, and then for its module
		wantFetch     bool                      // fails
		wantModule    bool                      // fails
	}{
		{"nothing", never, never, false, false},
		{"other manifest for the digest", answer(manifests, evilManifest), never, true, false},
		{"other layer for the digest", never, answer(blobs, evil), false, true},
		{"other manifest and layer, too late", never, answer("/", evilManifest), false, true},
		{"other manifest, too late to matter", never, answer(manifests, evilManifest), false, false},
		{"tag moved", never, func(t *testing.T, s *server) { s.push(t, "p:1", evil) }, false, false},
		{"index moved", never, func(t *testing.T, s *server) { s.pushIndex(t, "p:index", evil) }, false, false},
	} {
		for _, by := range []string{":1", ":index", "@DIGEST"} {
			if test.wantFetch && by != "@DIGEST" {
				continue // whatever a tag means is right
			}
			t.Run(test.name+", "+by, func(t *testing.T) {
				s := plainServer(t)
				digest := s.push(t, "p:1", wasm("policy"))
				s.pushIndex(t, "p:index", wasm("policy"))
				ref := parse(t, s.host+"/p"+strings.Replace(by, "DIGEST", digest.DigestStr(), 1))
				client := open(t, registry.Config{Sources: s.trusting(), StoreDir: t.TempDir()})
				test.before(t, s)
				artifact, err := client.Fetch(t.Context(), ref)
				if test.wantFetch {
					wantMismatch(t, err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				test.after(t, s)
				got, err := artifact.Module(t.Context(), proof.Signed(artifact.Digest))
				if test.wantModule {
					wantMismatch(t, err)
					return
				}
				wantModule(t, got, err, wasm("policy"))
			})
		}
	}
}

// TestIndexEntryThatLies has an index that is right and a manifest behind it that is not.
func TestIndexEntryThatLies(t *testing.T) {
	s := plainServer(t)
	s.pushIndex(t, "p:index", wasm("policy"))
	entry := s.push(t, "p:entry", wasm("policy"))
	evil := []byte(manifestJSON(layerJSON(layerType, wasm("evil"))))
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, entry.DigestStr()) {
			w.Header().Set("Docker-Content-Digest", entry.DigestStr())
			serve(evil, "")(w, r)
		}
	})
	_, err := open(t, registry.Config{Sources: s.trusting()}).Fetch(t.Context(), parse(t, s.host+"/p:index"))
	wantMismatch(t, err)
}

// TestWrongDigestIsFinal holds that what is wrong is not asked for again: a registry gets one try
// to pass something off.
func TestWrongDigestIsFinal(t *testing.T) {
	s := plainServer(t)
	digest := s.push(t, "p:1", wasm("policy"))
	for _, test := range []struct{ text, path string }{{"/p:1", blobs}, {"/p@" + digest.DigestStr(), manifests}} {
		steps := &script{path: test.path, steps: []http.HandlerFunc{serve([]byte("evil"), ""), nil}}
		s.setAnswer(steps.ServeHTTP)
		_, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), s.host+test.text)
		wantMismatch(t, err)
		if n := len(steps.asked()); n != 1 {
			t.Errorf("%s: asked %d times, want once", test.path, n)
		}
	}
}

func wantMismatch(t *testing.T, err error) {
	t.Helper()
	if !errors.As(err, new(*registry.DigestMismatchError)) {
		t.Errorf("got error %v, want a DigestMismatchError", err)
	}
}
