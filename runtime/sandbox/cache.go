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
	"time"

	"github.com/tetratelabs/wazero"

	"policy-server/folder"
)

// CodeCache keeps compiled code in a folder, so that a module is compiled once and not at each
// start. Engines, goroutines and processes may share it.
//
// wazero finds an entry by the module's bytes, its own version and the processor, and checks a part
// of what it finds. That is not enough for machine code that will be run: an entry that was cut
// short, changed, or put in another's place must not be. So for each module there is a seal: which
// entry is its compiled code, and the SHA-256 of that. Before wazero may look for a module's code
// the seal is held against the entry, and what has no true seal is removed. Only sealed code comes
// into the folder: modules are compiled into one of their own first.
//
// The folder is for this user only: seals guard against damage, not against somebody who may write
// there.
type CodeCache struct {
	wazero  wazero.CompilationCache
	folder  string
	entries string // wazero's part of the folder
	seals   string

	mu      sync.Mutex
	damaged int // entries that were removed
}

// codeKey is the SHA-256 of a module as it is compiled.
type codeKey [sha256.Size]byte

// OpenCodeCache opens the cache in folder, which is made when missing, and removes what has no seal
// in it. The caller closes the cache after the engines that use it.
func OpenCodeCache(path string) (*CodeCache, error) {
	c := &CodeCache{folder: path, entries: filepath.Join(path, "code"), seals: filepath.Join(path, "seals")}
	err := c.open()
	if err == nil {
		c.wazero, err = wazero.NewCompilationCacheWithDir(c.entries)
	}
	if err != nil {
		return nil, fmt.Errorf("compile cache: %w", err)
	}
	return c, nil
}

func (c *CodeCache) open() error {
	for _, dir := range []string{c.folder, c.entries, c.seals} {
		if err := folder.Private(dir); err != nil {
			return err
		}
	}
	writable, err := c.newFolder()
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(writable), c.removeAbandoned(), c.removeUnsealed())
}

// Close gives back what the cache holds in memory; the folder stays.
func (c *CodeCache) Close(ctx context.Context) error { return c.wazero.Close(ctx) }

// Damaged returns how many entries have been removed because they had no true seal.
func (c *CodeCache) Damaged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.damaged
}

func (c *CodeCache) countDamaged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.damaged++
}

const (
	newPrefix  = "new-"
	abandoned  = time.Hour // longer than any module is compiled
	sealedWith = "\n"      // between the entry's name in a seal and its SHA-256
)

// newFolder makes a folder to compile into. The caller removes it.
func (c *CodeCache) newFolder() (string, error) { return os.MkdirTemp(c.folder, newPrefix) }

// removeAbandoned removes the folders that processes left behind which ended while they compiled.
func (c *CodeCache) removeAbandoned() error {
	found, err := os.ReadDir(c.folder)
	for _, entry := range found {
		if !strings.HasPrefix(entry.Name(), newPrefix) {
			continue
		}
		if info, infoErr := entry.Info(); infoErr == nil && time.Since(info.ModTime()) > abandoned {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.folder, entry.Name())))
		}
	}
	return err
}

// removeUnsealed removes the entries that no seal names, and whatever is there that can be none.
// Their content is looked at when they are used.
func (c *CodeCache) removeUnsealed() error {
	sealed := map[string]bool{}
	seals, err := os.ReadDir(c.seals)
	if err != nil {
		return err
	}
	for _, seal := range seals {
		if entry, _, ok := c.readSeal(seal.Name()); ok {
			sealed[entry] = true
		}
	}
	return eachFile(c.entries, func(entry string, regular bool) error {
		if regular && sealed[entry] {
			return nil
		}
		c.countDamaged()
		return os.Remove(filepath.Join(c.entries, entry))
	})
}

// eachFile calls each with the path below root of everything that is no folder. One that another
// process removes meanwhile is no error.
func eachFile(root string, each func(path string, regular bool) error) error {
	return filepath.WalkDir(root, func(path string, found fs.DirEntry, err error) error {
		if err == nil && !found.IsDir() {
			if path, err = filepath.Rel(root, path); err == nil {
				err = each(path, found.Type().IsRegular())
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// holds tells whether the compiled code of a module is there, whole and in its place. An entry for
// which the seal is not true is removed.
func (c *CodeCache) holds(key codeKey) bool {
	entry, want, ok := c.readSeal(key.String())
	if !ok {
		return false
	}
	sum, err := sumOf(c.entries, entry)
	if err == nil && sum == want {
		return true
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.countDamaged()
		c.remove(key, entry)
	}
	return false
}

// forget removes what is kept of a module.
func (c *CodeCache) forget(key codeKey) {
	if entry, _, ok := c.readSeal(key.String()); ok {
		c.remove(key, entry)
	}
}

// remove removes a module's entry and seal. What cannot be removed fails the next time too.
func (c *CodeCache) remove(key codeKey, entry string) {
	_ = os.Remove(filepath.Join(c.entries, entry))
	_ = os.Remove(filepath.Join(c.seals, key.String()))
}

// readSeal reads a seal: an entry's path below entries, and its sum.
func (c *CodeCache) readSeal(name string) (entry, sum string, ok bool) {
	content, err := os.ReadFile(filepath.Join(c.seals, name))
	if err != nil {
		return "", "", false
	}
	entry, sum, ok = strings.Cut(string(content), sealedWith)
	return entry, sum, ok && filepath.IsLocal(entry)
}

// adopt seals the one entry that was compiled into dir for a module, and moves it to where wazero
// finds it. The seal is there first: an entry without one is removed by whoever opens the cache.
func (c *CodeCache) adopt(dir string, key codeKey) error {
	var compiled []string
	err := eachFile(dir, func(path string, regular bool) error {
		if !regular {
			return fmt.Errorf("%s is no regular file", path)
		}
		compiled = append(compiled, path)
		return nil
	})
	if err == nil && len(compiled) != 1 {
		err = fmt.Errorf("compiling left %d files, want 1", len(compiled))
	}
	if err != nil {
		return err
	}
	entry := compiled[0]
	sum, err := sumOf(dir, entry)
	if err != nil {
		return err
	}
	place := filepath.Join(c.entries, entry)
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(c.seals, key.String()), entry+sealedWith+sum); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, entry), place)
}

// sumOf returns the SHA-256 of the name and content of an entry below root, in hex. What is no
// regular file has none.
func sumOf(root, entry string) (string, error) {
	path := filepath.Join(root, entry)
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", path)
	}
	file, err := os.Open(path)
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

func (k codeKey) String() string { return hex.EncodeToString(k[:]) }

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
