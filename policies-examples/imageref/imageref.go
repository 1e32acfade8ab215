// Package imageref reads references to container images as Docker does: what is left out has a
// default, and one image has one form however it is written. It knows no registries' contents, and
// judges nothing.
package imageref

import (
	"errors"
	"strings"

	"policy-server/policies-examples/glob"
)

// A Ref is a reference to an image, in parts. Two references to the same thing are equal.
type Ref struct {
	Registry   string // in lower case, with the port unless that is 443: "docker.io", "registry.example:5000"
	Repository string // "library/nginx"
	Tag        string // empty when a digest says which image is meant; "latest" when nothing does
	Digest     string // "sha256:…", or empty
}

// String returns the reference with nothing left out.
func (r Ref) String() string {
	text := r.Registry + "/" + r.Repository
	if r.Tag != "" {
		text += ":" + r.Tag
	}
	if r.Digest != "" {
		text += "@" + r.Digest
	}
	return text
}

// Parse reads a reference: "nginx", "ghcr.io/acme/app:1.4", "ghcr.io/acme/app@sha256:…".
func Parse(text string) (Ref, error) {
	ref, err := Split(text)
	if err == nil && ref.Tag == "" && ref.Digest == "" {
		ref.Tag = "latest"
	}
	return ref, err
}

// Split is Parse without the default tag, for callers that give a meaning to its absence.
func Split(text string) (Ref, error) {
	var ref Ref
	name, digest, hasDigest := strings.Cut(text, "@")
	if hasDigest && !isDigest(digest) {
		return Ref{}, errors.New("malformed digest")
	}
	ref.Digest = digest
	// The last colon begins a tag unless it belongs to the registry's port.
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		if ref.Tag, name = name[colon+1:], name[:colon]; !isTag(ref.Tag) {
			return Ref{}, errors.New("malformed tag")
		}
	}
	host, repository := splitName(name)
	ref.Registry, ref.Repository = Registry(host), repository
	if ref.Registry == docker && !strings.Contains(repository, "/") {
		ref.Repository = "library/" + repository
	}
	switch {
	case !isHost(host):
		return Ref{}, errors.New("malformed registry")
	case !isRepository(ref.Repository):
		return Ref{}, errors.New("malformed repository")
	}
	return ref, nil
}

// Match reports whether a pattern, see glob.Match, means an image: as it is written or with nothing
// left out. What an operator wrote for docker.io cannot be passed by with a shorter or an odder
// spelling.
func Match(pattern, image string) bool {
	if glob.Match(pattern, image) {
		return true
	}
	ref, err := Parse(image)
	return err == nil && glob.Match(pattern, ref.String())
}

// docker is the registry of images that name none.
const docker = "docker.io"

// Registry returns the one form of a registry's name. Hosts are the same in either case, and
// connections go to port 443 unless another is written.
func Registry(host string) string {
	lower := strings.ToLower(host)
	short := strings.TrimSuffix(lower, ":443")
	switch {
	case short == "index.docker.io":
		return docker
	case looksLikeHost(short):
		return short
	case looksLikeHost(lower):
		return lower
	}
	return host // only its capitals make it a host
}

// splitName parts the registry from the repository. What looks like a host comes first, or there is
// none.
func splitName(name string) (host, repository string) {
	first, rest, ok := strings.Cut(name, "/")
	if ok && looksLikeHost(first) {
		return first, rest
	}
	return docker, name
}

func looksLikeHost(first string) bool {
	return strings.ContainsAny(first, ".:") || first == "localhost" || first != strings.ToLower(first)
}

// IsRegistry reports whether text can be the name of a registry: a host, and a port perhaps.
func IsRegistry(text string) bool { return isHost(text) }

func isHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		address, port, closed := strings.Cut(inner, "]")
		return closed && address != "" && strings.Trim(address, "0123456789abcdefABCDEF:") == "" && (port == "" || isPort(port))
	}
	if colon := strings.IndexByte(host, ':'); colon >= 0 {
		if !isPort(host[colon:]) {
			return false
		}
		host = host[:colon]
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || !all(label, isLabelByte) {
			return false
		}
	}
	return true
}

func isPort(text string) bool { return len(text) > 1 && text[0] == ':' && all(text[1:], isDigit) }

// isRepository holds each step of the path to Docker's rules: small letters and digits, and between
// them one dot, one or two underscores, or hyphens.
func isRepository(path string) bool {
	const maxLength = 255 // Docker's
	if len(path) > maxLength {
		return false
	}
	for step := range strings.SplitSeq(path, "/") {
		if !isStep(step) {
			return false
		}
	}
	return true
}

func isStep(step string) bool {
	if step == "" || !isSmall(step[0]) || !isSmall(step[len(step)-1]) {
		return false
	}
	for at := 0; at < len(step); {
		end := at
		for end < len(step) && !isSmall(step[end]) {
			end++
		}
		switch separator := step[at:end]; {
		case separator == ".", separator == "_", separator == "__", strings.Trim(separator, "-") == "":
		default:
			return false
		}
		at = end + 1
	}
	return true
}

func isTag(tag string) bool {
	const maxLength = 128
	return tag != "" && len(tag) <= maxLength && tag[0] != '.' && tag[0] != '-' &&
		all(tag, func(b byte) bool { return isLabelByte(b) || b == '_' || b == '.' })
}

func isDigest(digest string) bool {
	algorithm, value, _ := strings.Cut(digest, ":")
	lengths := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}
	return lengths[algorithm] == len(value) && value != "" &&
		all(value, func(b byte) bool { return isDigit(b) || 'a' <= b && b <= 'f' })
}

func isDigit(b byte) bool     { return '0' <= b && b <= '9' }
func isSmall(b byte) bool     { return 'a' <= b && b <= 'z' || isDigit(b) }
func isLabelByte(b byte) bool { return isSmall(b) || 'A' <= b && b <= 'Z' || b == '-' }

func all(text string, is func(byte) bool) bool {
	for i := range len(text) {
		if !is(text[i]) {
			return false
		}
	}
	return true
}
