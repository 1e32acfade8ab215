package sigstoretest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	blob "github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"

	"policy-server/registry/sign"
)

// SignImage signs d keyless, as cosign does by default, and attaches the bundle.
func (a *Authority) SignImage(
	ctx context.Context, id Identity, d name.Digest, annotations map[string]string, opts ...remote.Option,
) error {
	digest, err := v1.NewHash(d.DigestStr())
	if err != nil {
		return err
	}
	statement, err := Statement(digest, annotations)
	if err != nil {
		return err
	}
	credential, err := a.Issue(id)
	if err != nil {
		return err
	}
	signature, err := a.SignStatement(credential, statement, How{})
	if err != nil {
		return err
	}
	content, err := signature.Bundle()
	if err != nil {
		return err
	}
	return AttachBundle(ctx, d, content, opts...)
}

// SignImageLegacy is SignImage in the legacy layout.
func (a *Authority) SignImageLegacy(
	ctx context.Context, id Identity, d name.Digest, annotations map[string]string, opts ...remote.Option,
) error {
	payload, err := sign.Claims(d, annotations)
	if err != nil {
		return err
	}
	credential, err := a.Issue(id)
	if err != nil {
		return err
	}
	signature, err := a.SignPayload(credential, payload, How{})
	if err != nil {
		return err
	}
	layer, err := signature.Layer()
	if err != nil {
		return err
	}
	return sign.AttachLayer(ctx, d, layer, opts...)
}

// AttachBundle writes a bundle as a referrer of d, which must exist, announced as cosign does. In a
// registry without the referrers API it is added to the index under the fallback tag.
func AttachBundle(ctx context.Context, d name.Digest, content []byte, opts ...remote.Option) error {
	return AttachReferrer(ctx, d, content, map[string]string{
		"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": PredicateType,
	}, opts...)
}

// AttachReferrer is AttachBundle with annotations of the caller's choice on the manifest.
func AttachReferrer(
	ctx context.Context, d name.Digest, content []byte, annotations map[string]string, opts ...remote.Option,
) error {
	layer := blob.NewLayer(bytes.Clone(content), types.MediaType(BundleType))
	options := ociremote.WithRemoteOptions(append(opts[:len(opts):len(opts)], remote.WithContext(ctx))...)
	if err := ociremote.WriteReferrer(d, BundleType, []v1.Layer{layer}, annotations, options); err != nil {
		return fmt.Errorf("attach a bundle to %s: %w", d, err)
	}
	return nil
}
