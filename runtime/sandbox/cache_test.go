package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
)

// compileAll compiles two guests with the cache in folder and returns how many entries were found
// damaged.
func compileAll(t *testing.T, folder string) (damaged int) {
	t.Helper()
	cache, damaged, err := OpenCodeCache(folder)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache.wazero))
	for _, guest := range []string{"accepts", "rejects"} {
		code, err := os.ReadFile("../testdata/" + guest + ".wasm")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := runtime.CompileModule(ctx, code); err != nil {
			t.Fatalf("%s: %v", guest, err)
		}
	}
	if _, err := cache.seal(); err != nil {
		t.Fatal(err)
	}
	if err := runtime.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := cache.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return damaged
}

// entries lists the files of compiled code in folder.
func entries(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "code", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCodeCache(t *testing.T) {
	for name, c := range map[string]struct {
		damage  func(t *testing.T, first, second string)
		damaged int
	}{
		"untouched": {func(*testing.T, string, string) {}, 0},
		"a flipped bit": {func(t *testing.T, first, _ string) {
			rewrite(t, first, func(content []byte) []byte { content[len(content)/2] ^= 1; return content })
		}, 1},
		"cut short": {func(t *testing.T, first, _ string) {
			rewrite(t, first, func(content []byte) []byte { return content[:len(content)-7] })
		}, 1},
		"emptied": {func(t *testing.T, first, _ string) { rewrite(t, first, func([]byte) []byte { return nil }) }, 1},
		"in each other's place": {func(t *testing.T, first, second string) {
			for _, move := range [][2]string{{first, first + ".x"}, {second, first}, {first + ".x", second}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					t.Fatal(err)
				}
			}
		}, 2},
		"copied over another's": {func(t *testing.T, first, second string) {
			content, err := os.ReadFile(first)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, second, func([]byte) []byte { return content })
		}, 1},
		"without a seal": {func(t *testing.T, first, _ string) {
			seals, err := filepath.Glob(filepath.Join(filepath.Dir(first), "../../seals/*"+filepath.Base(first)))
			if err != nil || len(seals) != 1 {
				t.Fatalf("seals of %s: %v, %v", first, seals, err)
			}
			if err := os.Remove(seals[0]); err != nil {
				t.Fatal(err)
			}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "cache")
			if damaged := compileAll(t, folder); damaged != 0 {
				t.Errorf("a new cache has %d damaged entries", damaged)
			}
			found := entries(t, folder)
			if len(found) != 2 {
				t.Fatalf("entries: %v", found)
			}
			c.damage(t, found[0], found[1])
			if damaged := compileAll(t, folder); damaged != c.damaged {
				t.Errorf("%d entries found damaged, want %d", damaged, c.damaged)
			}
			if damaged := compileAll(t, folder); damaged != 0 || len(entries(t, folder)) != 2 {
				t.Errorf("after it was mended: %d damaged, entries %v", damaged, entries(t, folder))
			}
		})
	}
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenCodeCache_isPrivate(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	compileAll(t, folder)
	for _, dir := range []string{folder, filepath.Join(folder, "code"), filepath.Join(folder, "seals")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
	if _, _, err := OpenCodeCache(filepath.Join(entries(t, folder)[0], "below-a-file")); err == nil {
		t.Error("a cache was opened below a file")
	}
}
