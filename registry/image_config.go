package registry

import (
	"context"
	"encoding/json"
	"fmt"
	goruntime "runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Manifest is an image manifest or an image index as its registry has it.
type Manifest struct {
	Digest    name.Digest // of Content
	MediaType string      // what the registry calls it; a manifest need not say so itself
	Content   []byte      // JSON
}

// Manifest asks the registry for what ref means now: of a multi-platform image, the index. The
// error is a *FetchError, for references to other schemes as well.
func (c *Client) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	_, manifest, err := c.document(ctx, ref)
	if err != nil {
		return Manifest{}, &FetchError{Reference: ref, Err: err}
	}
	return manifest, nil
}

// ImageConfig returns an image's manifest, of a multi-platform image that for this program's
// platform, and the config it names, which is JSON of at most the size a manifest may have. The
// error is a *FetchError.
func (c *Client) ImageConfig(ctx context.Context, ref Reference) (Manifest, []byte, error) {
	manifest, config, err := c.imageConfig(ctx, ref)
	if err != nil {
		return Manifest{}, nil, &FetchError{Reference: ref, Err: err}
	}
	return manifest, config, nil
}

// document returns the manifest of ref, JSON for certain, and the repository it is in.
func (c *Client) document(ctx context.Context, ref Reference) (*repository, Manifest, error) {
	image, err := ref.OCI()
	if err != nil {
		return nil, Manifest{}, err
	}
	from, err := c.authenticate(ctx, image.Context(), transport.PullScope)
	if err != nil {
		return nil, Manifest{}, err
	}
	manifest, err := from.described(ctx, image)
	if err != nil {
		return nil, Manifest{}, err
	}
	if _, err := parseManifest(manifest.Content); err != nil {
		return nil, Manifest{}, err
	}
	return from, manifest, nil
}

func (c *Client) imageConfig(ctx context.Context, ref Reference) (Manifest, []byte, error) {
	from, manifest, err := c.document(ctx, ref)
	if err != nil {
		return Manifest{}, nil, err
	}
	m, err := parseManifest(manifest.Content)
	if err != nil {
		return Manifest{}, nil, err
	}
	if m.isIndex() {
		entry, err := m.entryFor(goruntime.GOOS, goruntime.GOARCH)
		if err != nil {
			return Manifest{}, nil, err
		}
		if manifest, err = from.described(ctx, from.name.Digest(entry.Digest)); err != nil {
			return Manifest{}, nil, err
		}
	}
	config, err := from.config(ctx, manifest.Content)
	return manifest, config, err
}

// config reads the config that an image manifest names.
func (r *repository) config(ctx context.Context, manifest []byte) ([]byte, error) {
	var named struct {
		Config *descriptor `json:"config"`
	}
	if err := json.Unmarshal(manifest, &named); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if named.Config == nil {
		return nil, fmt.Errorf("manifest: it names no config")
	}
	digest, err := v1.NewHash(named.Config.Digest)
	switch {
	case err != nil:
		return nil, fmt.Errorf("manifest: config: %w", err)
	case digest.Algorithm != "sha256":
		return nil, fmt.Errorf("manifest: config: digest %q is not a sha256", digest)
	case named.Config.Size < 0:
		return nil, fmt.Errorf("manifest: config: size %d is negative", named.Config.Size)
	case named.Config.Size > r.maxManifestBytes:
		return nil, &TooLargeError{What: "image config", Limit: r.maxManifestBytes}
	}
	config, err := r.blob(ctx, layer{digest: digest, size: named.Config.Size})
	if err != nil {
		return nil, err
	}
	if !json.Valid(config) {
		return nil, fmt.Errorf("image config %q is not JSON", digest)
	}
	return config, nil
}
