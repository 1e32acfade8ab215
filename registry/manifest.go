package registry

import (
	"encoding/json"
	"fmt"
	goruntime "runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The media types of a policy. Modules are pushed with the first two; the third is what the CNCF's
// wasm artifacts use and is accepted as well.
const (
	wasmConfigType types.MediaType = "application/vnd.wasm.config.v1+json"
	wasmLayerType  types.MediaType = "application/vnd.wasm.content.layer.v1+wasm"
	cncfLayerType  types.MediaType = "application/wasm"
)

// manifest is what matters here of an image manifest or an image index, which the OCI image
// specification tells apart by their fields as well as by media type.
type manifest struct {
	SchemaVersion int             `json:"schemaVersion"`
	MediaType     types.MediaType `json:"mediaType"`
	Layers        []descriptor    `json:"layers"`
	Manifests     []descriptor    `json:"manifests"`
}

// descriptor points at content. Its fields are in the order canonical JSON wants, since it is also
// pushed.
type descriptor struct {
	Digest    string          `json:"digest"`
	MediaType types.MediaType `json:"mediaType"`
	Platform  *platform       `json:"platform,omitempty"`
	Size      int64           `json:"size"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// layer is the one layer of a policy: the module.
type layer struct {
	digest v1.Hash // SHA-256
	size   int64
}

// parseManifest reads an image manifest or an image index.
func parseManifest(content []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return manifest{}, fmt.Errorf("manifest: %w", err)
	}
	switch {
	case m.SchemaVersion != 2:
		return manifest{}, fault(fmt.Sprintf("Unsupported schema version: %d", m.SchemaVersion))
	case m.MediaType != "" && !m.MediaType.IsImage() && !m.MediaType.IsIndex():
		return manifest{}, fault(fmt.Sprintf("Unsupported media type: %s", m.MediaType))
	case len(m.Layers) > 0 && len(m.Manifests) > 0:
		// Two readers could each see another policy in it (CVE-2021-41190).
		return manifest{}, fmt.Errorf("manifest: both layers and manifests are present")
	}
	return m, nil
}

func (m manifest) isIndex() bool {
	return m.MediaType.IsIndex() || (m.MediaType == "" && len(m.Manifests) > 0)
}

// entryFor returns the first entry of an index for that platform.
func (m manifest) entryFor(os, architecture string) (descriptor, error) {
	for _, entry := range m.Manifests {
		if entry.Platform == nil || *entry.Platform != (platform{Architecture: architecture, OS: os}) {
			continue
		}
		if _, err := v1.NewHash(entry.Digest); err != nil {
			return descriptor{}, fmt.Errorf("manifest: index entry: %w", err)
		}
		return entry, nil
	}
	return descriptor{}, errNoPlatform
}

// findModule finds the module's layer in a manifest, through this platform's entry if it is an
// index. byDigest returns the manifest with that digest and has checked that it is the one: the
// layer is so part of what the first manifest's digest stands for. A module beyond the client's
// limit is a *TooLargeError.
func (c *Client) findModule(content []byte, byDigest func(digest string) ([]byte, error)) (layer, error) {
	module, err := findLayer(content, byDigest)
	if err == nil && module.size > c.maxModuleBytes {
		err = &TooLargeError{What: "module", Limit: c.maxModuleBytes}
	}
	return module, err
}

func findLayer(content []byte, byDigest func(digest string) ([]byte, error)) (layer, error) {
	m, err := parseManifest(content)
	if err != nil {
		return layer{}, err
	}
	if !m.isIndex() {
		return m.module()
	}
	entry, err := m.entryFor(goruntime.GOOS, goruntime.GOARCH)
	if err != nil {
		return layer{}, err
	}
	if content, err = byDigest(entry.Digest); err != nil {
		return layer{}, err
	}
	if m, err = parseManifest(content); err != nil {
		return layer{}, err
	}
	if m.isIndex() {
		return layer{}, fmt.Errorf("index entry %q is an index itself, expected an image manifest", entry.Digest)
	}
	return m.module()
}

// module returns the layer that holds the module: there must be exactly one, of a type that says
// so.
func (m manifest) module() (layer, error) {
	if len(m.Layers) == 0 {
		return layer{}, errNoLayers
	}
	for _, l := range m.Layers {
		if l.MediaType != wasmLayerType && l.MediaType != cncfLayerType {
			return layer{}, fault(fmt.Sprintf("Fail to interact with OCI registry: Incompatible layer media type: %s", l.MediaType))
		}
	}
	if len(m.Layers) > 1 {
		return layer{}, errNotOneLayer
	}
	if !strings.HasPrefix(m.Layers[0].Digest, "sha256:") {
		return layer{}, errLayerNotSHA256
	}
	digest, err := v1.NewHash(m.Layers[0].Digest)
	if err != nil {
		return layer{}, fmt.Errorf("manifest: layer: %w", err)
	}
	if m.Layers[0].Size < 0 {
		return layer{}, fmt.Errorf("manifest: layer: size %d is negative", m.Layers[0].Size)
	}
	return layer{digest: digest, size: m.Layers[0].Size}, nil
}
