package registry

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Beside the modules, the store keeps the manifests of those that were pulled by digest:
//
//	ROOT/manifests/sha256/HEX
//
// A manifest is the link between the digest in a reference and that of the module's file: with it,
// what is stored is proven to be what the reference means, by any writer, and the registry need
// not be asked. Kubewarden leaves such a directory alone.

// manifestPath is where the manifest with that SHA-256 digest is kept.
func (s Store) manifestPath(digest string) string {
	return filepath.Join(s.root, "manifests", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// keepManifests stores manifests under their digests. It may fail in silence: a store without them
// is as good, but slower.
func (s Store) keepManifests(manifests [][]byte) {
	if s.root == "" {
		return
	}
	for _, manifest := range manifests {
		if _, err := s.loadManifest(digestOf(manifest), int64(len(manifest))); err != nil {
			_ = s.replace(s.manifestPath(digestOf(manifest)), manifest)
		}
	}
}

// loadManifest reads the manifest with that digest, and checks that it is the one.
func (s Store) loadManifest(digest string, limit int64) ([]byte, error) {
	content, err := readFile(s.manifestPath(digest), "manifest", limit)
	if err != nil {
		return nil, err
	}
	return content, checkSHA256(content, strings.TrimPrefix(digest, "sha256:"))
}

// fetchFromStore is fetch by the stored manifests of a reference by digest, if a file for the
// module is in the store too. Whether that file is the layer's content layerContent checks. The
// error says what is missing.
func (c *Client) fetchFromStore(ref Reference) (*Artifact, error) {
	switch {
	case !ref.pinned():
		return nil, errors.New("what a tag means only the registry can say")
	case !c.store.holds(ref):
		return nil, errors.New("no such module is in it")
	}
	byDigest := func(digest string) ([]byte, error) { return c.store.loadManifest(digest, c.maxManifestBytes) }
	manifest, err := byDigest(ref.image.digest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	module, err := c.findModule(manifest, byDigest)
	var large *TooLargeError
	switch {
	case errors.As(err, &large):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("manifest: %w", err)
	}
	digest := ref.image.repository.Digest(ref.image.digest)
	return &Artifact{Reference: ref, Digest: digest, client: c, digest: digest, place: placeRegistry, layer: module}, nil
}

// explain adds to the error of a registry that cannot be asked why the store cannot answer instead.
func (s Store) explain(err, reason error) error {
	var other *DigestMismatchError
	switch {
	case s.root == "" || !IsUnavailable(err):
		return err
	case errors.As(reason, &other):
		reason = fmt.Errorf("a file in it has the digest sha256:%s instead of sha256:%s", other.Got, other.Want)
	}
	return fmt.Errorf("%w; and the store cannot answer instead: %v", err, reason)
}
