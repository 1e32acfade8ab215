package registry

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// The schemes a module reference may have. One without a scheme means SchemeRegistry.
const (
	SchemeRegistry = "registry" // an OCI registry
	SchemeHTTPS    = "https"    // one GET, whose body is the module
	SchemeHTTP     = "http"     // the same, for hosts listed as insecure only
	SchemeFile     = "file"     // a local file, used in place
)

// Reference says where a module is, as an operator wrote it. It is made by ParseReference only, is
// immutable and can be compared with ==. The zero Reference names nothing.
type Reference struct {
	written  string
	scheme   string
	host     string
	path     string // as in the URI: percent-escaped, with its leading slash
	download string // http and https: what to request, with user information and query
	file     string // file: the path on disk
	image    image  // registry
}

// InvalidReferenceError reports a text that is no image reference.
type InvalidReferenceError struct {
	Reason string
}

func (e *InvalidReferenceError) Error() string { return "Invalid OCI image reference: " + e.Reason }

// ParseReference reads the URI forms a policy's module may have:
// registry://HOST[:PORT]/REPO[:TAG][@DIGEST], the same without the scheme, https://…, http://… and
// file:///PATH. Blanks around the text are dropped.
//
// Errors: "unknown scheme: S"; *InvalidReferenceError; or what is wrong with the URL, never quoting
// user information.
func ParseReference(s string) (Reference, error) {
	text := strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case strings.HasPrefix(text, "file:/"):
		return parseFile(s, text)
	case !found || !isScheme(scheme):
		return parseRegistry(s, text)
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case SchemeRegistry:
		return parseRegistry(s, rest)
	case SchemeHTTPS, SchemeHTTP:
		return parseDownload(s, text)
	case SchemeFile:
		return parseFile(s, text)
	}
	return Reference{}, fmt.Errorf("unknown scheme: %s", scheme)
}

// isScheme follows RFC 3986, section 3.1: in "ghcr.io/a://b" the separator is no scheme's.
func isScheme(s string) bool {
	for i, r := range strings.ToLower(s) {
		letter := 'a' <= r && r <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", r)) {
			return false
		}
	}
	return s != ""
}

func parseRegistry(written, rest string) (Reference, error) {
	authority, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		if err := checkPort(authority[i+1:]); err != nil {
			return Reference{}, err
		}
	}
	img, err := parseImage(rest)
	if err != nil {
		return Reference{}, err
	}
	return Reference{written: written, scheme: SchemeRegistry, host: authority, path: rest[len(authority):], image: img}, nil
}

func parseDownload(written, text string) (Reference, error) {
	u, err := parseURL(text)
	if err != nil {
		return Reference{}, err
	}
	if u.Port() != "" {
		if err := checkPort(u.Port()); err != nil {
			return Reference{}, err
		}
	}
	defaultPort := map[string]string{SchemeHTTPS: ":443", SchemeHTTP: ":80"}[u.Scheme]
	u.Host = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(u.Host), defaultPort), ":")
	switch {
	case strings.Trim(u.Host, ".") == "":
		return Reference{}, errors.New("empty host")
	case strings.ContainsAny(u.Host, `/\%`): // no IPv6 zones, as in browsers; and the host names a directory
		return Reference{}, errors.New("invalid domain character")
	case strings.Trim(u.Path, "/") == "":
		return Reference{}, fmt.Errorf("%s://%s names no module: a path is missing", u.Scheme, u.Host)
	}
	if _, found := u.User.Password(); found {
		written = u.Redacted() // what prints a Reference must not print a password
	}
	return Reference{written: written, scheme: u.Scheme, host: u.Host, path: u.EscapedPath(), download: u.String()}, nil
}

func parseFile(written, text string) (Reference, error) {
	u, err := parseURL(text)
	if err != nil {
		return Reference{}, err
	}
	if (u.Host != "" && u.Host != "localhost") || !strings.HasPrefix(u.Path, "/") {
		return Reference{}, fmt.Errorf("%q names no file: a file reference holds an absolute path, as in file:///tmp/policy.wasm", withoutSecrets(text))
	}
	return Reference{written: written, scheme: SchemeFile, path: u.EscapedPath(), file: u.Path}, nil
}

// parseURL resolves dot segments, which would climb out of the store's directory, and leaves the
// text out of its errors, since it may hold a password.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, fmt.Errorf("invalid URL: %w", err)
	}
	u = u.ResolveReference(u)
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

func checkPort(port string) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("invalid port number")
	}
	return nil
}

// String returns the text as it was written, except that a password is masked. A token may be in
// its query: use URI in messages.
func (r Reference) String() string { return r.written }

// URI returns SCHEME://HOST[:PORT]/PATH, by which the local store knows the module: no user
// information, no query.
func (r Reference) URI() string { return r.scheme + "://" + r.host + r.path }

// Scheme returns one of the Scheme constants; empty for the zero Reference.
func (r Reference) Scheme() string { return r.scheme }

// Host returns host[:port], the key of Sources; empty for files. A registry's port is kept as
// written, the default port of http and https is dropped.
func (r Reference) Host() string { return r.host }

// server returns who is asked, which is not what Host says where Docker Hub is meant and not
// written.
func (r Reference) server() string {
	if r.scheme == SchemeRegistry {
		return r.image.reference().Context().RegistryStr()
	}
	return r.host
}

// FilePath returns the path of a file reference, percent-escapes decoded; empty for the other
// schemes.
func (r Reference) FilePath() string { return r.file }

// OCI returns the image reference of a registry module, with Docker Hub ("index.docker.io") and the
// tag "latest" as defaults; where tag and digest are both written, the digest is it. The error is
// an *InvalidReferenceError for every other scheme.
func (r Reference) OCI() (name.Reference, error) {
	if r.scheme != SchemeRegistry {
		return nil, &InvalidReferenceError{
			Reason: fmt.Sprintf("%q is not in a registry, and only modules in a registry can be verified", r.URI()),
		}
	}
	return r.image.reference(), nil
}

// movable reports whether the reference asks for the newest module: the tag latest, written or
// implied, without digest.
func (r Reference) movable() bool {
	return r.scheme == SchemeRegistry && r.image.digest == "" && r.image.tag == name.DefaultTag
}

// pinned reports whether the reference holds a digest, and so can only ever mean one module.
func (r Reference) pinned() bool { return r.image.digest != "" }
