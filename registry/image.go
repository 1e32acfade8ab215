package registry

import (
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// The grammar of image references, as https://pkg.go.dev/github.com/distribution/reference gives
// it. The name package of go-containerregistry is laxer: it takes "a/../b", which must never become
// a file name.
const (
	domainLabel     = `(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])`
	domainGrammar   = `(?:` + domainLabel + `(?:\.` + domainLabel + `)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`
	elementGrammar  = `[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`
	tagGrammar      = `\w[\w.-]{0,127}`
	digestAlgorithm = `[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*`
	imageGrammar    = `^((?:` + domainGrammar + `/)?` + elementGrammar + `(?:/` + elementGrammar + `)*)` +
		`(?::(` + tagGrammar + `))?(?:@(` + digestAlgorithm + `:[0-9a-fA-F]{32,}))?$`

	maxRepositoryLength = 255 // Docker's own limit
)

var imagePattern = regexp.MustCompile(imageGrammar)

// image is a parsed image reference. At least one of tag and digest is set.
type image struct {
	repository name.Repository
	tag        string
	digest     string
}

// parseImage reads text, without a scheme, as an image reference: Docker Hub is the default
// registry, latest the default tag. The error is an *InvalidReferenceError.
func parseImage(text string) (image, error) {
	if text == "" {
		return image{}, &InvalidReferenceError{Reason: "repository name must have at least one component"}
	}
	parts := imagePattern.FindStringSubmatch(text)
	if parts == nil {
		return image{}, &InvalidReferenceError{Reason: "invalid reference format"}
	}
	domain, path := splitDomain(parts[1])
	if len(path) > maxRepositoryLength {
		return image{}, &InvalidReferenceError{Reason: "repository name must not be more than 255 characters"}
	}
	// Docker Hub is what an empty domain means to NewRegistry; "docker.io" becomes the host that
	// serves it.
	registry, err := name.NewRegistry(domain)
	if err != nil || strings.ToLower(path) != path {
		return image{}, &InvalidReferenceError{Reason: "invalid reference format"}
	}
	img := image{repository: registry.Repo(path), tag: parts[2], digest: parts[3]}
	if img.digest != "" {
		return img, checkDigest(img.digest)
	}
	if img.tag == "" {
		img.tag = name.DefaultTag
	}
	return img, nil
}

// splitDomain separates the registry's host from the repository, by Docker's rule of thumb.
func splitDomain(text string) (domain, path string) {
	first, rest, found := strings.Cut(text, "/")
	if !found || (!strings.ContainsAny(first, ".:") && first != "localhost") {
		return "", text
	}
	return first, rest
}

func checkDigest(digest string) error {
	algorithm, hex, _ := strings.Cut(digest, ":")
	length, known := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
	switch {
	case !known:
		return &InvalidReferenceError{Reason: "unsupported digest algorithm"}
	case len(hex) != length:
		return &InvalidReferenceError{Reason: "invalid checksum digest length"}
	case strings.ToLower(hex) != hex:
		return &InvalidReferenceError{Reason: "invalid checksum digest format"}
	case algorithm != "sha256": // legal, but what is pulled is checked by SHA-256 only
		return &InvalidReferenceError{Reason: "unsupported digest algorithm"}
	}
	return nil
}

// reference is what the registry is asked for: the digest wins over the tag.
func (i image) reference() name.Reference {
	if i.digest != "" {
		return i.repository.Digest(i.digest)
	}
	return i.repository.Tag(i.tag)
}
