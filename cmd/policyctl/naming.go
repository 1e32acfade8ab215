package main

import (
	"errors"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"policy-server/registry"
)

var withScheme = regexp.MustCompile(`^\w+://`)

// resolve finds the policy that text names for run, inspect and push, and returns its URI. In this
// order: a URI, a file, the beginning of a stored module's SHA-256, an image reference without its
// scheme.
func (p places) resolve(text string) (string, error) {
	if withScheme.MatchString(text) {
		return normalise(text), nil
	}
	if _, err := os.Stat(text); err == nil {
		return fileURI(text)
	}
	stored, found, err := p.store().LookupSHA256(text)
	switch {
	case err != nil:
		return "", err
	case found:
		return stored.URI, nil
	case strings.Contains(text, "/"): // without one, a mistyped SHA-256 would become an image of Docker Hub
		if _, err := registry.ParseReference(text); err == nil {
			return normalise(registry.SchemeRegistry + "://" + text), nil
		}
	}
	return "", cannotFind(text)
}

// fileURI returns the URI of the file at path, links resolved.
func fileURI(path string) (string, error) {
	canonical, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	absolute, err := filepath.Abs(canonical)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: registry.SchemeFile, Path: filepath.ToSlash(absolute)}).String(), nil
}

// normalise writes out a registry:// URI that has neither tag nor digest, "registry://busybox" as
// "registry://docker.io/library/busybox:latest". Everything else stays as it is.
func normalise(uri string) string {
	image, ok := strings.CutPrefix(uri, registry.SchemeRegistry+"://")
	if !ok || strings.ContainsAny(path.Base(image), ":@") {
		return uri
	}
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return uri // whoever uses it will say what is wrong
	}
	full, err := ref.OCI()
	if err != nil {
		return uri
	}
	host := full.Context().RegistryStr()
	if host == "index.docker.io" {
		host = "docker.io" // as users know it
	}
	return registry.SchemeRegistry + "://" + host + "/" + full.Context().RepositoryStr() + ":latest"
}

// file returns the file that holds the module of uri: a file itself, or what was stored of another
// one.
func (p places) file(uri string) (string, error) {
	switch scheme, _, _ := strings.Cut(uri, "://"); scheme {
	case registry.SchemeFile, registry.SchemeHTTP, registry.SchemeHTTPS, registry.SchemeRegistry:
	default:
		return "", saidf("Unknown scheme: %s", scheme)
	}
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return "", err
	}
	stored := p.store().Path(ref)
	if _, err := os.Stat(stored); err != nil && ref.Scheme() != registry.SchemeFile {
		return "", cannotFind(uri)
	}
	return stored, nil
}

// find returns the URI that text names and the file that holds its module, without asking a
// registry.
func (p places) find(text string) (uri, file string, err error) {
	if uri, err = p.resolve(text); err != nil {
		return "", "", err
	}
	file, err = p.file(uri)
	return uri, file, err
}

// findStored returns the stored policy of a URI. A file is none, whatever it holds.
func (p places) findStored(uri string) (registry.StoredModule, error) {
	module, found, err := p.store().Lookup(uri)
	switch {
	case err != nil:
		return registry.StoredModule{}, err
	case !found:
		return registry.StoredModule{}, cannotFind(uri)
	}
	return module, nil
}

// resolveLeniently is resolve for commands that take any text for an image reference before they
// give up on it.
func (p places) resolveLeniently(text string) (string, error) {
	uri, err := p.resolve(text)
	if err == nil {
		return uri, nil
	}
	var ambiguous *registry.AmbiguousPrefixError
	if errors.As(err, &ambiguous) {
		return "", err // an image of that name is not what was meant
	}
	image := registry.SchemeRegistry + "://" + text
	if _, err := registry.ParseReference(image); err != nil || withScheme.MatchString(text) {
		return "", cannotFind(text)
	}
	return normalise(image), nil
}

// notFoundError reports a name that is no policy's.
type notFoundError struct{ name string }

func cannotFind(name string) error { return &notFoundError{name} }

func (e *notFoundError) Error() string { return "Cannot find policy with uri: " + e.name }

// Hint says what would have been found.
func (e *notFoundError) Hint() string {
	return "name a policy by its URI (registry://…, https://…, file://…), an existing file, or the beginning of a stored module's SHA-256; " +
		"only run pulls what is not in the store"
}
