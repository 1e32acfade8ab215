package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// openCached opens an engine with the cache in folder.
func openCached(t *testing.T, folder string) (*CodeCache, *Engine) {
	t.Helper()
	cache, err := OpenCodeCache(folder)
	if err != nil {
		t.Fatal(err)
	}
	shared := NewShared(NewIdleMemory(1), cache, nil, func(err error) { t.Error(err) })
	e, err := Open(context.Background(), Limits{MemoryPages: 1, Output: 1, HostCall: 1, Print: 1}, ABI{Kind: Library{}}, shared)
	if err != nil {
		t.Fatal(err)
	}
	return cache, e
}

// compileAll compiles two guests with the cache in folder and returns how many entries were found
// damaged.
func compileAll(t *testing.T, folder string) (damaged int) {
	t.Helper()
	cache, e := openCached(t, folder)
	ctx := context.Background()
	for number := range byte(2) {
		if _, _, err := e.machineCode(ctx, nil, distinct(number)); err != nil {
			t.Fatalf("%d: %v", number, err)
		}
	}
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := cache.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return cache.Damaged()
}

// distinct returns a module with one function, which returns that number, below 64.
func distinct(number byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x00\x01\x7f\x03\x02\x01\x00\x0a\x06\x01\x04\x00\x41"), number, 0x0b)
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
		damage  func(t *testing.T, folder, first, second string)
		damaged int
	}{
		"untouched": {func(*testing.T, string, string, string) {}, 0},
		"a flipped bit": {func(t *testing.T, _, first, _ string) {
			rewrite(t, first, func(content []byte) []byte { content[len(content)/2] ^= 1; return content })
		}, 1},
		"cut short": {func(t *testing.T, _, first, _ string) {
			rewrite(t, first, func(content []byte) []byte { return content[:len(content)-7] })
		}, 1},
		"emptied": {func(t *testing.T, _, first, _ string) { rewrite(t, first, func([]byte) []byte { return nil }) }, 1},
		"in each other's place": {func(t *testing.T, _, first, second string) {
			for _, move := range [][2]string{{first, first + ".x"}, {second, first}, {first + ".x", second}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					t.Fatal(err)
				}
			}
		}, 2},
		"copied over another's": {func(t *testing.T, _, first, second string) {
			content, err := os.ReadFile(first)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, second, func([]byte) []byte { return content })
		}, 1},
		"gone":           {func(t *testing.T, _, first, _ string) { remove(t, first) }, 0},
		"without a seal": {func(t *testing.T, folder, _, _ string) { remove(t, seals(t, folder)[0]) }, 1},
		"with no seal":   {func(t *testing.T, folder, _, _ string) { remove(t, seals(t, folder)...) }, 2},
		"seal of nothing": {func(t *testing.T, folder, _, _ string) {
			rewrite(t, seals(t, folder)[0], func([]byte) []byte { return nil })
		}, 1},
		"seal of a file elsewhere": {func(t *testing.T, folder, _, _ string) {
			rewrite(t, seals(t, folder)[0], func(content []byte) []byte { return append([]byte("../"), content...) })
		}, 1},
		"seals in each other's place": {func(t *testing.T, folder, _, _ string) {
			both := seals(t, folder)
			for _, move := range [][2]string{{both[0], both[0] + ".x"}, {both[1], both[0]}, {both[0] + ".x", both[1]}} {
				if err := os.Rename(move[0], move[1]); err != nil {
					t.Fatal(err)
				}
			}
		}, 0}, // the sums are right: wazero itself does not find the other's entry, and both are compiled again
		"a link to itself elsewhere": {func(t *testing.T, folder, first, _ string) {
			target := filepath.Join(t.TempDir(), "target")
			for _, err := range []error{os.Rename(first, target), os.Symlink(target, first)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}, 1},
		"a folder that is a link": {func(t *testing.T, _, first, _ string) {
			target := filepath.Join(t.TempDir(), "target")
			for _, err := range []error{os.Rename(filepath.Dir(first), target), os.Symlink(target, filepath.Dir(first))} {
				if err != nil {
					t.Fatal(err)
				}
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
			c.damage(t, folder, found[0], found[1])
			if damaged := compileAll(t, folder); damaged != c.damaged {
				t.Errorf("%d entries found damaged, want %d", damaged, c.damaged)
			}
			if damaged := compileAll(t, folder); damaged != 0 || len(entries(t, folder)) != 2 {
				t.Errorf("after it was mended: %d damaged, entries %v", damaged, entries(t, folder))
			}
		})
	}
}

// TestCodeCache_damagedLater damages an entry while the cache is open.
func TestCodeCache_damagedLater(t *testing.T) {
	folder := t.TempDir()
	compileAll(t, folder)
	_, e := openCached(t, folder)
	ctx := context.Background()
	for _, entry := range entries(t, folder) {
		rewrite(t, entry, func(content []byte) []byte { return content[:len(content)/2] })
	}
	for _, want := range []bool{false, true} {
		code, found, err := e.machineCode(ctx, nil, distinct(0))
		if err != nil || found != want {
			t.Fatalf("found %t, %v; want %t", found, err, want)
		}
		if err := code.Close(ctx); err != nil { // else wazero has it in memory
			t.Error(err)
		}
	}
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}

func seals(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "seals", "*"))
	if err != nil || len(found) != 2 {
		t.Fatalf("seals %v, %v", found, err)
	}
	return found
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
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
	if _, err := OpenCodeCache(filepath.Join(entries(t, folder)[0], "below-a-file")); err == nil {
		t.Error("a cache was opened below a file")
	}
}
