package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
)

// CodeCache keeps compiled code in a folder, so that a module is compiled once and not at each
// start. Engines and goroutines may share it.
//
// wazero finds an entry by the module's bytes, its own version and the processor, and checks a part
// of what it finds. That is not enough for machine code that will be run: an entry that was cut
// short, changed, or put in another's place must not be. So each entry has a seal, the SHA-256 of
// its file under its name, and what has no true seal is removed before wazero may look. The folder
// is for this user only: seals guard against damage, not against somebody who may write there.
type CodeCache struct {
	wazero  wazero.CompilationCache
	entries string // wazero's part of the folder
	seals   string

	mu     sync.Mutex
	sealed map[string]bool // entries, by their path below entries, that have a true seal
}

const privately = 0o700 // for folders; files get what os.CreateTemp gives

// OpenCodeCache opens the cache in folder, which is made when missing, and removes what is damaged
// in it. It returns how many entries that were. The caller closes the cache after the engines that
// use it.
func OpenCodeCache(folder string) (cache *CodeCache, damaged int, err error) {
	c := &CodeCache{entries: filepath.Join(folder, "code"), seals: filepath.Join(folder, "seals"), sealed: map[string]bool{}}
	for _, dir := range []string{folder, c.entries, c.seals} {
		if err := errors.Join(os.MkdirAll(dir, privately), os.Chmod(dir, privately)); err != nil {
			return nil, 0, fmt.Errorf("compile cache: %w", err)
		}
	}
	if damaged, err = c.removeDamaged(); err != nil {
		return nil, 0, fmt.Errorf("compile cache: %w", err)
	}
	if c.wazero, err = wazero.NewCompilationCacheWithDir(c.entries); err != nil {
		return nil, 0, fmt.Errorf("compile cache: %w", err)
	}
	return c, damaged, nil
}

// Close gives back what the cache holds in memory; the folder stays.
func (c *CodeCache) Close(ctx context.Context) error { return c.wazero.Close(ctx) }

// removeDamaged removes the entries without a true seal.
func (c *CodeCache) removeDamaged() (damaged int, err error) {
	err = c.eachEntry(func(entry string) error {
		seal, err := os.ReadFile(c.sealOf(entry))
		if err == nil {
			sum, err := c.sum(entry)
			if err != nil {
				return err
			}
			if sum == string(seal) {
				c.sealed[entry] = true
				return nil
			}
		}
		damaged++
		return os.Remove(filepath.Join(c.entries, entry))
	})
	return damaged, err
}

// seal seals the entries that were added since it was last called, and returns how many those were.
// An entry that is not sealed, because the process ended before, is compiled again next time.
func (c *CodeCache) seal() (added int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.eachEntry(func(entry string) error {
		if c.sealed[entry] {
			return nil
		}
		sum, err := c.sum(entry)
		if err == nil {
			err = writeWhole(c.sealOf(entry), sum)
		}
		if c.sealed[entry] = err == nil; err == nil {
			added++
		}
		return err
	})
	return added, err
}

// eachEntry calls each with every entry. One that another process removes meanwhile is no error.
func (c *CodeCache) eachEntry(each func(entry string) error) error {
	return filepath.WalkDir(c.entries, func(path string, found fs.DirEntry, err error) error {
		if err == nil && found.Type().IsRegular() && !strings.HasSuffix(path, ".tmp") { // wazero is still writing those
			var entry string
			if entry, err = filepath.Rel(c.entries, path); err == nil {
				err = each(entry)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// sealOf returns the file of an entry's seal.
func (c *CodeCache) sealOf(entry string) string {
	return filepath.Join(c.seals, strings.ReplaceAll(entry, string(filepath.Separator), "_"))
}

// sum returns the SHA-256 of an entry's name and content, in hex.
func (c *CodeCache) sum(entry string) (string, error) {
	file, err := os.Open(filepath.Join(c.entries, entry))
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n", filepath.Base(entry))
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// writeWhole writes a file that is there with all of its content or not at all.
func writeWhole(path, content string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}
