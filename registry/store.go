package registry

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"policy-server/folder"
)

// Store is a directory of modules, laid out as Kubewarden lays it out, so that both can use it:
//
//	ROOT/SCHEME/HOST[:PORT]/DIRECTORY/…/FILE[:TAG]
//	ROOT/registry/ghcr.io/kubewarden/policies/pod-privileged:v0.2.2
//
// It vouches for nothing: a file is what its name says only as long as no other program writes
// there. Several goroutines and processes may share one directory; a file appears in it whole or
// not at all.
type Store struct {
	root string
}

// NewStore returns the store below root, which need not exist. An empty root is a store that keeps
// nothing.
func NewStore(root string) Store { return Store{root: root} }

// Path returns the file that holds, or would hold, the module. References to the tag latest end in
// ":latest" whether or not the tag was written. Files named by a file reference are never stored:
// their path is their own.
func (s Store) Path(ref Reference) string {
	if ref.scheme == SchemeFile {
		return ref.file
	}
	return filepath.Join(s.root, storeName(ref, goruntime.GOOS))
}

// storeName is Path below the root. A reference's host and path hold no ".." element:
// ParseReference sees to that.
func storeName(ref Reference, goos string) string {
	path := ref.host + ref.path
	if ref.movable() && !strings.HasSuffix(path, ":latest") {
		path += ":latest"
	}
	elements := []string{ref.scheme}
	for element := range strings.SplitSeq(path, "/") {
		if goos == "windows" && element != "" { // ":" is no legal character there
			element = base64.RawURLEncoding.EncodeToString([]byte(element))
		}
		elements = append(elements, element)
	}
	return filepath.Join(elements...)
}

// holds reports whether a file is there. A link is none.
func (s Store) holds(ref Reference) bool {
	if s.root == "" {
		return false
	}
	path := s.Path(ref)
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && folder.NoLinks(s.root, path) == nil
}

// vouches reports whether the file that is there can be taken for what its name says, which nothing
// else proves: nobody else could have written it.
func (s Store) vouches(ref Reference) bool {
	return s.holds(ref) && folder.OnlyOurs(s.root, s.Path(ref)) == nil
}

// load reads the stored module; fs.ErrNotExist when there is none, *TooLargeError above limit
// bytes.
func (s Store) load(ref Reference, limit int64) ([]byte, error) {
	if s.root == "" {
		return nil, fs.ErrNotExist
	}
	path := s.Path(ref)
	if err := folder.NoLinks(s.root, path); err != nil {
		return nil, err
	}
	return readFile(path, "module", limit)
}

// save writes the module aside and renames it into place, so that a crash leaves the old file or
// the new one.
func (s Store) save(ref Reference, module []byte) error {
	if s.root == "" {
		return nil
	}
	path := s.Path(ref)
	if err := s.replace(path, module); err != nil {
		return fmt.Errorf("wasm module cannot be save to %q: %w", path, err)
	}
	return nil
}

// replace writes a file of the store, into folders that are no links.
func (s Store) replace(path string, content []byte) error {
	if err := folder.NoLinks(s.root, filepath.Dir(path)); err != nil {
		return err
	}
	return replaceFile(path, content)
}

const (
	partialPrefix = ".partial-"
	partialAge    = time.Hour // longer than any file takes to be written
)

// sweep deletes what processes left behind in dir that ended while they wrote a file.
func sweep(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // it costs space only
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), partialPrefix) {
			continue
		}
		if info, err := entry.Info(); err == nil && now.Sub(info.ModTime()) > partialAge {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

func replaceFile(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	// What is pulled may be private: it stays with the user that pulled it.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sweep(dir, time.Now())
	aside, err := os.CreateTemp(dir, partialPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = aside.Close()
			_ = os.Remove(aside.Name())
		}
	}()
	if _, err := aside.Write(content); err != nil {
		return err
	}
	// Without this a crash after the rename could leave a whole name on half a file.
	if err := aside.Sync(); err != nil {
		return err
	}
	if err := aside.Close(); err != nil {
		return err
	}
	return os.Rename(aside.Name(), path)
}

// removeFile removes a file; one that is not there is as good as removed.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readFile reads a regular file of at most limit bytes; what is in it is for the error.
func readFile(path, what string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening: opening a named pipe blocks
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readLimited(file, what, limit)
}

const wasmMagic = "\x00asm"

// checkMagic refuses what does not start as a WebAssembly module does.
func checkMagic(module []byte) error {
	if !bytes.HasPrefix(module, []byte(wasmMagic)) {
		return errNotWasm
	}
	return nil
}
