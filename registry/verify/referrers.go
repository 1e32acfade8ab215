package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

// An image may have many referrers (a report for each scan), of which only a few are signatures.
const (
	maxReferrers   = 512
	maxBundleBytes = 1 << 20 // a signature's is some 10 KiB
)

// predicateAnnotation says on a referrer's manifest, and in the index of referrers, what its bundle is about.
const predicateAnnotation = "dev.sigstore.bundle.predicateType"

// bundleSignatures returns the bundles among the referrers of d that are signatures. They are asked for at the
// referrers API, and in the index tagged "sha256-<hex>" where the registry has none. As with legacySignatures, what
// cannot be a signature is unusable or left out, and what cannot be read is an error.
//
// The index cannot be trusted to name the type of a referrer (registries fill in the type of its config), so every
// manifest is read, and the type of its layer decides. Only those announced as attestations are passed over.
func bundleSignatures(
	ctx context.Context, puller *remote.Puller, d name.Digest, options []remote.Option,
) ([]candidate, error) {
	referrers, err := listReferrers(d, append(slices.Clone(options), remote.WithContext(ctx)))
	if err != nil {
		return nil, fmt.Errorf("referrers of %s: %w", d.DigestStr(), err)
	}
	found := make([][]candidate, len(referrers))
	fetches, ctx := errgroup.WithContext(ctx)
	fetches.SetLimit(fetchesAtOnce)
	for i, referrer := range referrers {
		fetches.Go(func() (err error) {
			found[i], err = fetchBundles(ctx, puller, d.Context().Digest(referrer.Digest.String()))
			return err
		})
	}
	if err := fetches.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	if n := len(all); n > maxSignatures {
		return nil, fmt.Errorf("referrers of %s: %d bundles, more than the limit of %d", d.DigestStr(), n, maxSignatures)
	}
	for i := range all {
		all[i].position = i
	}
	return all, nil
}

// listReferrers returns the referrers that may be signatures.
func listReferrers(d name.Digest, options []remote.Option) ([]v1.Descriptor, error) {
	index, err := remote.Referrers(d, options...)
	if isNotFound(err, "/manifests/"+strings.Replace(d.DigestStr(), ":", "-", 1)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	referrers := slices.DeleteFunc(manifest.Manifests, func(r v1.Descriptor) bool {
		return !r.MediaType.IsImage() || isAttestation(r.Annotations)
	})
	if n := len(referrers); n > maxReferrers {
		return nil, fmt.Errorf("%d entries, more than the limit of %d", n, maxReferrers)
	}
	return referrers, nil
}

// isAttestation spares downloading what says of itself that it is no signature: reports may be large.
func isAttestation(annotations map[string]string) bool {
	predicate, ok := annotations[predicateAnnotation]
	return ok && predicate != signPredicateType
}

// fetchBundles returns the signatures of one referrer: one, unless it is no bundle or an attestation.
func fetchBundles(ctx context.Context, puller *remote.Puller, referrer name.Digest) ([]candidate, error) {
	manifest, err := signatureManifest(ctx, puller, referrer)
	if isNotFound(err, "/manifests/"+referrer.DigestStr()) {
		return nil, nil // listed and gone: such lists outlive what they list
	}
	if err != nil {
		return nil, fmt.Errorf("referrer %s: %w", referrer.DigestStr(), err)
	}
	if isAttestation(manifest.Annotations) {
		return nil, nil
	}
	var found []candidate
	for _, layer := range manifest.Layers {
		if !strings.HasPrefix(string(layer.MediaType), bundleMediaType) {
			continue
		}
		c, err := fetchBundle(ctx, puller, referrer.Context(), layer)
		if errors.Is(c.unusable, errAttestation) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("referrer %s: %w", referrer.DigestStr(), err)
		}
		if found = append(found, c); len(found) > maxSignatures {
			return nil, fmt.Errorf("referrer %s: more than %d bundles", referrer.DigestStr(), maxSignatures)
		}
	}
	return found, nil
}

func fetchBundle(
	ctx context.Context, puller *remote.Puller, repo name.Repository, layer v1.Descriptor,
) (candidate, error) {
	c := candidate{layout: LayoutBundle, layer: layer.Digest}
	if layer.Size > maxBundleBytes {
		c.unusable = fmt.Errorf("bundle of %d bytes, more than the limit of %d", layer.Size, maxBundleBytes)
		return c, nil
	}
	content, err := fetchBlob(ctx, puller, repo.Digest(layer.Digest.String()), maxBundleBytes)
	switch {
	case isNotFound(err, "/blobs/"+layer.Digest.String()), errors.Is(err, errTooLarge):
		c.unusable = fmt.Errorf("bundle: %w", err)
		return c, nil
	case err != nil:
		return c, fmt.Errorf("bundle %s: %w", layer.Digest, err)
	}
	if evidence, err := parseBundle(content); err != nil {
		c.unusable = err
	} else {
		c.evidence = evidence
	}
	return c, nil
}
