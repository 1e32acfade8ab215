package registry

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Save writes modules of the store to w as Kubewarden does: a gzip'd tar whose names are the paths
// below the store's root. Nothing of it depends on the time or the user: the same modules make the
// same archive.
func (s Store) Save(w io.Writer, modules []StoredModule) error {
	compressed := gzip.NewWriter(w)
	archive := tar.NewWriter(compressed)
	for _, module := range modules {
		if err := s.saveModule(archive, module); err != nil {
			return fmt.Errorf("cannot append policy %s to tar file: %w", module.URI, err)
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

func (s Store) saveModule(archive *tar.Writer, module StoredModule) error {
	name, err := filepath.Rel(s.root, module.File)
	if err != nil {
		return err
	}
	file, err := os.Open(module.File)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Typeflag: tar.TypeReg, Mode: 0o644, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

// Load adds the modules of an archive that Save wrote to the store, in place of those that are
// there. Each appears whole or not at all; those before one that is refused stay.
//
// An entry is refused that is no regular file, lies outside the store's layout or the root, is
// larger than DefaultMaxModuleBytes, or is no WebAssembly module: who unpacks an archive trusts its
// author less than the system.
func (s Store) Load(r io.Reader) error {
	compressed, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	archive := tar.NewReader(compressed)
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case header.Typeflag == tar.TypeDir: // made as needed
			continue
		}
		if err := s.loadEntry(header, archive); err != nil {
			return fmt.Errorf("entry %q: %w", header.Name, err)
		}
	}
}

func (s Store) loadEntry(header *tar.Header, content io.Reader) error {
	if header.Typeflag != tar.TypeReg {
		return errors.New("not a regular file")
	}
	name := strings.TrimPrefix(header.Name, "./")
	if err := checkStoredName(name); err != nil {
		return err
	}
	if header.Size > DefaultMaxModuleBytes {
		return &TooLargeError{What: "module", Limit: DefaultMaxModuleBytes}
	}
	// The beginning first: a few bytes of archive can stand for any number of zeros.
	beginning := bufio.NewReader(content)
	if first, err := beginning.Peek(len(wasmMagic)); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if err := checkMagic(first); err != nil {
		return err
	}
	module, err := readLimited(beginning, "module", DefaultMaxModuleBytes)
	if err != nil {
		return err
	}
	return s.replace(filepath.Join(s.root, filepath.FromSlash(name)), module)
}

// checkStoredName refuses the name of a file that List would not find, or not there.
func checkStoredName(name string) error {
	elements := strings.Split(name, "/")
	switch {
	case !slices.Contains([]string{SchemeHTTP, SchemeHTTPS, SchemeRegistry}, elements[0]) || len(elements) < 2:
		return fmt.Errorf("not in a directory called %s, %s or %s", SchemeHTTP, SchemeHTTPS, SchemeRegistry)
	case slices.Contains(elements, "") || slices.Contains(elements, ".") || slices.Contains(elements, ".."),
		!filepath.IsLocal(filepath.FromSlash(name)), strings.HasPrefix(elements[len(elements)-1], partialPrefix):
		return errors.New("not the path of a stored module")
	}
	return nil
}
