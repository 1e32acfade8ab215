package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"policy-server/registry"
)

// An image may have many referrers (a report for each scan), of which only a few are signatures.
const (
	maxReferrers   = 512     // and bundles in them
	maxBundleBytes = 1 << 20 // a signature's is some 10 KiB
)

// predicateAnnotation says on a referrer's manifest, and in the index of referrers, what its bundle
// is about.
const predicateAnnotation = "dev.sigstore.bundle.predicateType"

// bundleSignatures returns the bundles among the referrers of d that are signatures. As with
// legacySignatures, what cannot be a signature is unusable or left out, and what cannot be read is
// an error.
func bundleSignatures(
	ctx context.Context, puller *remote.Puller, d name.Digest, options []remote.Option,
) ([]Candidate, error) {
	return bundles(ctx, puller, d, options, wanted{
		passOver: isAttestation,
		refuse: func(layer v1.Descriptor) (unusable, err error) {
			if layer.Size > maxBundleBytes {
				unusable = fmt.Errorf("bundle of %d bytes, more than the limit of %d", layer.Size, maxBundleBytes)
			}
			return unusable, nil
		},
		limit: maxBundleBytes,
		parse: func(content []byte) (*attached, error) {
			signature, err := parseBundle(content)
			if errors.Is(err, errAttestation) {
				return nil, nil
			}
			return signature, err
		},
	})
}

// wanted says which bundles are looked for.
type wanted struct {
	passOver func(annotations map[string]string) bool                 // whether a manifest announces something else
	refuse   func(layer v1.Descriptor) (unusable error, failed error) // before it is read
	limit    int64                                                    // of one bundle, in bytes
	parse    func(content []byte) (*attached, error)                  // nil without an error: something else
}

// bundles returns the bundles among the referrers of d that are wanted. They are asked for at the
// referrers API, and in the index tagged "sha256-<hex>" where the registry has none.
//
// The index cannot be trusted to name the type of a referrer (registries fill in the type of its
// config), so every manifest is read, and the type of its layer decides. Only those announced as
// something else are passed over.
func bundles(
	ctx context.Context, puller *remote.Puller, d name.Digest, options []remote.Option, w wanted,
) ([]Candidate, error) {
	referrers, err := listReferrers(ctx, puller, d, append(slices.Clone(options), remote.WithContext(ctx)), w)
	if err != nil {
		return nil, fmt.Errorf("referrers of %s: %w", d.DigestStr(), err)
	}
	found := make([][]Candidate, len(referrers))
	var count bundleCount
	fetches, ctx := errgroup.WithContext(ctx)
	fetches.SetLimit(fetchesAtOnce)
	for i, referrer := range referrers {
		fetches.Go(func() (err error) {
			found[i], err = w.fetchBundles(ctx, puller, d.Context().Digest(referrer.Digest.String()), &count)
			return err
		})
	}
	if err := fetches.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(found...)
	for i := range all {
		all[i].position = i
	}
	return all, nil
}

// bundleCount counts the bundles of all referrers together, before they are read or kept: one
// manifest may list any number of them.
type bundleCount struct{ read, kept atomic.Int64 }

// listReferrers returns the referrers that may be wanted.
func listReferrers(
	ctx context.Context, puller *remote.Puller, d name.Digest, options []remote.Option, w wanted,
) ([]v1.Descriptor, error) {
	manifest, err := referrersIndex(ctx, puller, d, options)
	if isNotFound(err, "/manifests/"+fallbackTag(d).TagStr()) {
		return nil, nil
	}
	if err != nil {
		return nil, registry.Scrub(err)
	}
	referrers := slices.DeleteFunc(manifest.Manifests, func(r v1.Descriptor) bool {
		return !r.MediaType.IsImage() || w.passOver(r.Annotations)
	})
	if n := len(referrers); n > maxReferrers {
		return nil, fmt.Errorf("%d entries, more than the limit of %d", n, maxReferrers)
	}
	return referrers, nil
}

// fallbackTag is where the index of referrers is kept in a registry without the API.
func fallbackTag(d name.Digest) name.Tag {
	return d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1))
}

func referrersIndex(
	ctx context.Context, puller *remote.Puller, d name.Digest, options []remote.Option,
) (*v1.IndexManifest, error) {
	index, err := remote.Referrers(d, options...) // asks for the fallback tag as well
	if err == nil {
		return index.IndexManifest()
	}
	if !lacksReferrers(err, d) {
		return nil, err
	}
	got, err := puller.Get(ctx, fallbackTag(d))
	if err != nil {
		return nil, err
	}
	if n := len(got.Manifest); n > maxManifestBytes {
		return nil, fmt.Errorf("%d bytes, more than the limit of %d", n, maxManifestBytes)
	}
	return v1.ParseIndexManifest(bytes.NewReader(got.Manifest))
}

// lacksReferrers reports whether a registry said that it has no referrers API in a way that the
// library does not understand: 405 and 501, or 401, which Harbor before 2.8 answers wherever it
// knows nothing. Who may not read the repository is told so at the fallback tag.
func lacksReferrers(err error, d name.Digest) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) || answer.Request == nil || !strings.HasSuffix(answer.Request.URL.Path, "/referrers/"+d.DigestStr()) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// isAttestation spares downloading what says of itself that it is no signature: reports may be
// large.
func isAttestation(annotations map[string]string) bool {
	predicate, ok := annotations[predicateAnnotation]
	return ok && predicate != SignPredicateType
}

// fetchBundles returns what is wanted of one referrer: one bundle, unless it is something else.
func (w wanted) fetchBundles(
	ctx context.Context, puller *remote.Puller, referrer name.Digest, count *bundleCount,
) ([]Candidate, error) {
	manifest, err := signatureManifest(ctx, puller, referrer)
	if isNotFound(err, "/manifests/"+referrer.DigestStr()) {
		return nil, nil // listed and gone: such lists outlive what they list
	}
	if err != nil {
		return nil, fmt.Errorf("referrer %s: %w", referrer.DigestStr(), err)
	}
	if w.passOver(manifest.Annotations) {
		return nil, nil
	}
	var found []Candidate
	for _, layer := range manifest.Layers {
		if !strings.HasPrefix(string(layer.MediaType), bundleMediaType) {
			continue
		}
		if count.read.Add(1) > maxReferrers {
			return nil, fmt.Errorf("referrer %s: more than the limit of %d bundles", referrer.DigestStr(), maxReferrers)
		}
		c, err := w.fetchBundle(ctx, puller, referrer.Context(), layer)
		if err != nil {
			return nil, fmt.Errorf("referrer %s: %w", referrer.DigestStr(), err)
		}
		if c.evidence == nil && c.unusable == nil {
			continue
		}
		if count.kept.Add(1) > MaxSignatures {
			return nil, fmt.Errorf("referrer %s: more than the limit of %d signatures", referrer.DigestStr(), MaxSignatures)
		}
		c.manifest = manifest
		found = append(found, c)
	}
	return found, nil
}

func (w wanted) fetchBundle(
	ctx context.Context, puller *remote.Puller, repo name.Repository, layer v1.Descriptor,
) (Candidate, error) {
	c := Candidate{layout: LayoutBundle, layer: layer}
	unusable, err := w.refuse(layer)
	if unusable != nil || err != nil {
		c.unusable = unusable
		return c, err
	}
	content, err := fetchBlob(ctx, puller, repo.Digest(layer.Digest.String()), min(w.limit, layer.Size))
	switch {
	case isNotFound(err, "/blobs/"+layer.Digest.String()), errors.Is(err, errTooLarge):
		c.unusable = fmt.Errorf("bundle: %w", err)
		return c, nil
	case err != nil:
		return c, fmt.Errorf("bundle %s: %w", layer.Digest, err)
	}
	bundle, err := w.parse(content)
	if c.unusable = err; bundle != nil {
		c.content, c.evidence = content, bundle
	}
	return c, nil
}
