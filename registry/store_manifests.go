package registry

import (
	"path/filepath"
	"strings"
)

// Beside the modules, the store keeps the manifests of those that were pulled by digest:
//
//	ROOT/manifests/sha256/HEX
//
// A manifest is the link between the digest in a reference and that of the module's file: with it, what is stored is
// proven to be what the reference means, whoever wrote it, and the registry need not be asked. Kubewarden leaves such a
// directory alone.

// manifestPath is where the manifest with that SHA-256 digest is kept.
func (s Store) manifestPath(digest string) string {
	return filepath.Join(s.root, "manifests", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

// keepManifests stores manifests under their digests. It may fail in silence: a store without them is as good, but slower.
func (s Store) keepManifests(manifests [][]byte) {
	if s.root == "" {
		return
	}
	for _, manifest := range manifests {
		if _, err := s.loadManifest(digestOf(manifest), int64(len(manifest))); err != nil {
			_ = replaceFile(s.manifestPath(digestOf(manifest)), manifest)
		}
	}
}

// loadManifest reads the manifest with that digest, and checks that it is the one.
func (s Store) loadManifest(digest string, limit int64) ([]byte, error) {
	content, err := readFile(s.manifestPath(digest), limit)
	if err != nil {
		return nil, err
	}
	return content, checkSHA256(content, strings.TrimPrefix(digest, "sha256:"))
}

// provenLayer returns the module's layer by the stored manifests of a reference by digest, if a file for the module is in
// the store too. Whether that file is the layer's content is for layerContent to say.
func (c *Client) provenLayer(ref Reference) (layer, bool) {
	if !ref.pinned() || !c.store.holds(ref) {
		return layer{}, false
	}
	manifest, err := c.store.loadManifest(ref.image.digest, c.maxManifestBytes)
	if err != nil {
		return layer{}, false
	}
	module, err := findModule(manifest, func(digest string) ([]byte, error) {
		return c.store.loadManifest(digest, c.maxManifestBytes)
	})
	return module, err == nil && module.size <= c.maxModuleBytes
}
