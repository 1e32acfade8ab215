package registry

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
)

// StoredModule is a module in a Store.
type StoredModule struct {
	URI  string // SCHEME://HOST[:PORT]/PATH, rebuilt from where it lies
	File string // that holds it
}

// SHA256 returns the lower-case hex digits of the SHA-256 of the file as it is now.
func (m StoredModule) SHA256() (string, error) {
	sum, err := fileSHA256(m.File)
	if err != nil {
		return "", fmt.Errorf("cannot retrieve path from uri: %w", err)
	}
	return sum, nil
}

// List returns the modules in the store, sorted by URI. A root that does not exist holds none. The
// error is one of reading a directory, or a name in it that the store does not use.
func (s Store) List() ([]StoredModule, error) {
	if s.root == "" {
		return nil, nil
	}
	var modules []StoredModule
	for _, scheme := range []string{SchemeHTTP, SchemeHTTPS, SchemeRegistry} {
		root := filepath.Join(s.root, scheme)
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), partialPrefix) {
				return nil
			}
			relative, err := filepath.Rel(s.root, path)
			if err != nil {
				return err
			}
			uri, err := storedURI(filepath.ToSlash(relative), goruntime.GOOS)
			modules = append(modules, StoredModule{URI: uri, File: path})
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	slices.SortFunc(modules, func(a, b StoredModule) int { return strings.Compare(a.URI, b.URI) })
	return modules, nil
}

// storedURI is the reverse of storeName, for a name with slashes.
func storedURI(name, goos string) (string, error) {
	scheme, path, _ := strings.Cut(name, "/")
	if goos != "windows" {
		return scheme + "://" + path, nil
	}
	elements := strings.Split(path, "/")
	for i, element := range elements {
		decoded, err := base64.RawURLEncoding.DecodeString(element)
		if err != nil {
			return "", fmt.Errorf("stored module %q: %q is no encoded name: %w", name, element, err)
		}
		elements[i] = string(decoded)
	}
	return scheme + "://" + strings.Join(elements, "/"), nil
}

// Lookup returns the stored module of a URI and whether there is one. The scheme must be one that
// is stored: "unknown scheme: S" for files as well.
func (s Store) Lookup(uri string) (StoredModule, bool, error) {
	ref, err := ParseReference(uri)
	switch {
	case err != nil:
		return StoredModule{}, false, err
	case ref.scheme == SchemeFile:
		return StoredModule{}, false, fmt.Errorf("unknown scheme: %s", ref.scheme)
	case !s.holds(ref):
		return StoredModule{}, false, nil
	}
	return StoredModule{URI: uri, File: s.Path(ref)}, true, nil
}

// LookupSHA256 returns the stored module whose SHA-256 begins with prefix and whether there is one.
// What are no lower-case hex digits is the beginning of none. It reads every file. The error is an
// *AmbiguousPrefixError when there are several, or one of reading.
func (s Store) LookupSHA256(prefix string) (StoredModule, bool, error) {
	if !hexDigits.MatchString(prefix) {
		return StoredModule{}, false, nil
	}
	modules, err := s.List()
	if err != nil {
		return StoredModule{}, false, err
	}
	var found []StoredModule
	for _, module := range modules {
		sum, err := module.SHA256()
		if err != nil {
			return StoredModule{}, false, err
		}
		if strings.HasPrefix(sum, prefix) {
			found = append(found, module)
		}
	}
	switch len(found) {
	case 0:
		return StoredModule{}, false, nil
	case 1:
		return found[0], true, nil
	}
	ambiguous := &AmbiguousPrefixError{Prefix: prefix}
	for _, module := range found {
		ambiguous.URIs = append(ambiguous.URIs, module.URI)
	}
	return StoredModule{}, false, ambiguous
}

var hexDigits = regexp.MustCompile(`^[0-9a-f]{1,64}$`)

// AmbiguousPrefixError reports the beginning of a SHA-256 that several stored modules share, be it
// that they are one module under several names.
type AmbiguousPrefixError struct {
	Prefix string
	URIs   []string // of those modules, sorted
}

func (e *AmbiguousPrefixError) Error() string {
	return "multiple policies found with the same prefix: " + e.Prefix
}

// Hint names the modules.
func (e *AmbiguousPrefixError) Hint() string {
	return "use one of the URIs: " + strings.Join(e.URIs, ", ")
}

func fileSHA256(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Remove deletes a stored module, and the directories above it that became empty, up to the store's
// root. The error is fs.ErrNotExist when it is gone already.
func (s Store) Remove(m StoredModule) error {
	if err := os.Remove(m.File); err != nil {
		return err
	}
	for dir := filepath.Dir(m.File); len(dir) > len(filepath.Clean(s.root)); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil { // it holds something else
			break
		}
	}
	return nil
}
