package registry_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/registry"
)

// TestStoredUnusable holds that a stored module which is none, or which somebody else could have
// put there, is fetched again, and that the error names its file where that fails.
func TestStoredUnusable(t *testing.T) {
	tooShort := errors.New("ends too early")
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		again bool // it is fetched, and said why when it cannot be
	}{
		"whole":   {func(*testing.T, string) {}, false},
		"garbage": {func(t *testing.T, path string) { writeFile(t, path, []byte("no module")) }, true},
		"cut off": {func(t *testing.T, path string) { writeFile(t, path, wasm("sto")) }, true},
		"empty":   {func(t *testing.T, path string) { writeFile(t, path, nil) }, true},
		"a link": {func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "module")
			do(t, os.Rename(path, target), os.Symlink(target, path))
		}, true},
		"in a folder that is a link": {func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "folder")
			do(t, os.Rename(filepath.Dir(path), target), os.Symlink(target, filepath.Dir(path)))
		}, true},
		"in a folder for everybody": {func(t *testing.T, path string) { do(t, os.Chmod(filepath.Dir(path), 0o777)) }, true},
		"a file for everybody":      {func(t *testing.T, path string) { do(t, os.Chmod(path, 0o666)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := plainServer(t), t.TempDir()
			s.push(t, "p:1", wasm("policy"))
			path := registry.NewStore(dir).Path(parse(t, s.host+"/p:1"))
			writeFile(t, path, wasm("stored"))
			c.spoil(t, path)
			var unstored []string
			config := registry.Config{
				Sources: s.trusting(), StoreDir: dir, ReuseStored: true, Retries: registry.Retries{Attempts: 1},
				CheckStored: func(module []byte) error {
					if !bytes.HasSuffix(module, []byte("stored")) {
						return tooShort
					}
					return nil
				},
				Unstored: func(module string, err error) { unstored = append(unstored, module+": "+err.Error()) },
			}
			want := wasm("stored")
			if c.again {
				want = wasm("policy")
			}
			got, err := pull(t, open(t, config), s.host+"/p:1")
			wantModule(t, got, err, want)
			linked := strings.Contains(name, "folder that is a link")
			if linked != (len(unstored) == 1) {
				t.Errorf("not stored: %q", unstored)
			}
			if linked {
				return // nothing was changed there, and nothing is to be had when the registry is down
			}
			s.Close()
			c.spoil(t, path)
			got, err = pull(t, open(t, config), s.host+"/p:1")
			switch {
			case !c.again:
				wantModule(t, got, err, want)
			case err == nil:
				t.Errorf("got %q", got)
			case strings.Contains(name, "link"), strings.Contains(name, "everybody"):
				wantError(t, err, "connection refused")
			default:
				wantError(t, err, `stored module "`+path+`": `, "and it cannot be fetched again", "connection refused")
			}
		})
	}
}

// do fails the test at the first error.
func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestStored_followsNoLink holds that nothing is written through a link in the store, nor read.
func TestStored_followsNoLink(t *testing.T) {
	s, dir, outside := plainServer(t), t.TempDir(), t.TempDir()
	digest := s.push(t, "p:1", wasm("policy"))
	do(t, os.Symlink(outside, filepath.Join(dir, "registry")), os.Symlink(outside, filepath.Join(dir, "manifests")))
	client := open(t, registry.Config{Sources: s.trusting(), StoreDir: dir, Unstored: func(string, error) {}})
	for _, text := range []string{s.host + "/p:1", s.host + "/p@" + digest.DigestStr()} {
		got, err := pull(t, client, text)
		wantModule(t, got, err, wasm("policy"))
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("written through the link: %v, %v", left, err)
	}
}
