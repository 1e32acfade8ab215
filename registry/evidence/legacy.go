package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	"golang.org/x/sync/errgroup"

	"policy-server/registry"
)

// Everybody who may push a tag beside the module chooses these sizes; honest signatures are a
// handful of layers with payloads of some hundred bytes, and annotations of a few KiB
// (certificates, log entries).
const (
	MaxSignatures    = 64
	maxManifestBytes = 4 << 20
	maxPayloadBytes  = 1 << 20
	fetchesAtOnce    = 8
)

// legacySignatures returns the layers of the image that cosign puts beside d under the tag
// "sha256-<hex>.sig"; none when the registry has no such tag. A layer that cannot be a signature is
// unusable, and the others still count. Any other failure is an error: the layer that cannot be
// read may be the one that decides.
func legacySignatures(ctx context.Context, puller *remote.Puller, d name.Digest) ([]Candidate, error) {
	tag := d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1) + ".sig")
	manifest, err := signatureManifest(ctx, puller, tag)
	if isNotFound(err, "/manifests/"+tag.TagStr()) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("manifest %q: %w", tag.Name(), err)
	}
	if n := len(manifest.Layers); n > MaxSignatures {
		return nil, fmt.Errorf("manifest %q: %d signatures, more than the limit of %d", tag.Name(), n, MaxSignatures)
	}
	found := make([]Candidate, len(manifest.Layers))
	fetches, ctx := errgroup.WithContext(ctx)
	fetches.SetLimit(fetchesAtOnce)
	for i, layer := range manifest.Layers {
		fetches.Go(func() (err error) {
			found[i], err = fetchCandidate(ctx, puller, tag.Context(), layer)
			found[i].position, found[i].manifest = i, manifest
			return err
		})
	}
	if err := fetches.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}

func signatureManifest(ctx context.Context, puller *remote.Puller, ref name.Reference) (*v1.Manifest, error) {
	got, err := puller.Get(ctx, ref)
	if err != nil {
		return nil, registry.Scrub(err)
	}
	if n := len(got.Manifest); n > maxManifestBytes {
		return nil, fmt.Errorf("%d bytes, more than the limit of %d", n, maxManifestBytes)
	}
	if !got.MediaType.IsImage() {
		return nil, fmt.Errorf("media type %q; want %q", got.MediaType, types.OCIManifestSchema1)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(got.Manifest))
	if err != nil {
		return nil, err
	}
	// The header above is the registry's word, this field the author's.
	if t := manifest.MediaType; t != "" && !t.IsImage() {
		return nil, fmt.Errorf("mediaType: %.100q; want %q", t, types.OCIManifestSchema1)
	}
	return manifest, nil
}

// fetchCandidate reads one layer of the signature manifest.
func fetchCandidate(
	ctx context.Context, puller *remote.Puller, repo name.Repository, layer v1.Descriptor,
) (Candidate, error) {
	c := Candidate{layout: LayoutLegacy, layer: layer}
	_, signed := layer.Annotations[static.SignatureAnnotationKey]
	switch {
	case layer.MediaType != cosigntypes.SimpleSigningMediaType:
		c.unusable = fmt.Errorf("layer of media type %.100q; want %q", layer.MediaType, cosigntypes.SimpleSigningMediaType)
		return c, nil
	case !signed:
		c.unusable = fmt.Errorf("layer without annotation %q", static.SignatureAnnotationKey)
		return c, nil
	case layer.Size > maxPayloadBytes:
		c.unusable = fmt.Errorf("payload of %d bytes, more than the limit of %d", layer.Size, maxPayloadBytes)
		return c, nil
	}
	payload, err := fetchBlob(ctx, puller, repo.Digest(layer.Digest.String()), maxPayloadBytes)
	switch {
	case isNotFound(err, "/blobs/"+layer.Digest.String()), errors.Is(err, errTooLarge):
		c.unusable = fmt.Errorf("payload: %w", err)
		return c, nil
	case err != nil:
		return c, fmt.Errorf("payload %s: %w", layer.Digest, err)
	}
	c.read(payload)
	return c, nil
}

var errTooLarge = errors.New("more than the limit")

// fetchBlob reads a blob whole, of at most limit bytes; the library compares it with its digest. It
// asks for the blob by digest and not as a layer of the image, because a layer may name other
// places to fetch it from.
func fetchBlob(ctx context.Context, puller *remote.Puller, blob name.Digest, limit int64) ([]byte, error) {
	layer, err := puller.Layer(ctx, blob)
	if err != nil {
		return nil, registry.Scrub(err)
	}
	body, err := layer.Compressed() // as stored; nothing is compressed here
	if err != nil {
		return nil, registry.Scrub(err)
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, limit+1))
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%w of %d bytes", errTooLarge, limit)
	}
	return content, err
}

// isNotFound reports whether the registry said that it does not have what was asked for at a path
// ending in suffix: not found elsewhere (the token server, say) means nothing.
func isNotFound(err error, suffix string) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) || answer.Request == nil || !strings.HasSuffix(answer.Request.URL.Path, suffix) {
		return false
	}
	for _, diagnostic := range answer.Errors {
		switch diagnostic.Code {
		case transport.ManifestUnknownErrorCode, transport.NameUnknownErrorCode:
			return true
		}
	}
	return answer.StatusCode == http.StatusNotFound
}
