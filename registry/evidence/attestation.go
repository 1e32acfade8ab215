package evidence

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"golang.org/x/sync/errgroup"
)

// Attestations are documents: bills of materials reach some MiB. Everybody who may push beside the
// image chooses their sizes.
const (
	maxAttestations     = 64
	maxAttestationBytes = 24 << 20 // of all of an image, as they are stored: statements of 16 MiB in base64, and their proofs
)

// attestationTypeAnnotation says on a layer of the legacy layout what its statement is about.
const attestationTypeAnnotation = "predicateType"

// Attestations returns the statements about d of the predicate types, in either layout, in no way
// checked; the legacy ones come first. What announces itself as of another type is passed over.
// What is damaged is unusable, whatever it was about. Unlike with signatures, what cannot be read
// is an error wherever it lies, and so is more than the limits: what the caller did not see might
// have been the report that matters.
func Attestations(ctx context.Context, d name.Digest, types []string, options []remote.Option) ([]Candidate, error) {
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	r := &attestationReader{types: types, puller: puller}
	r.left.Store(maxAttestationBytes)
	var legacy, referred []Candidate
	var legacyErr, referredErr error
	var places sync.WaitGroup
	places.Go(func() { legacy, legacyErr = r.legacy(ctx, d) })
	places.Go(func() { referred, referredErr = r.referred(ctx, d, options) })
	places.Wait()
	all := slices.Concat(legacy, referred)
	if err := errors.Join(legacyErr, referredErr); err != nil {
		return nil, err
	}
	if n := len(all); n > maxAttestations {
		return nil, fmt.Errorf("%d attestations of %s, more than the limit of %d", n, d.DigestStr(), maxAttestations)
	}
	return all, nil
}

// attestationReader reads the attestations of one image.
type attestationReader struct {
	types  []string
	puller *remote.Puller
	left   atomic.Int64 // bytes that may still be read
}

// unasked reports whether something announces itself as of a type that was not asked for. Image
// signatures are not believed: some releases of cosign announce every attestation as one.
func (r *attestationReader) unasked(announced string) bool {
	return announced != "" && announced != SignPredicateType && !slices.Contains(r.types, announced)
}

// take makes room for what is about to be read.
func (r *attestationReader) take(size int64) error {
	if size < 0 || r.left.Add(-size) < 0 {
		return fmt.Errorf("attestations of more than the limit of %d bytes", maxAttestationBytes)
	}
	return nil
}

// referred returns the bundles among the referrers of d.
func (r *attestationReader) referred(ctx context.Context, d name.Digest, options []remote.Option) ([]Candidate, error) {
	return bundles(ctx, r.puller, d, options, wanted{
		passOver: func(annotations map[string]string) bool { return r.unasked(annotations[predicateAnnotation]) },
		refuse:   func(layer v1.Descriptor) (error, error) { return nil, r.take(layer.Size) },
		limit:    maxAttestationBytes,
		parse: func(content []byte) (*attached, error) {
			a, err := decodeBundle(content)
			switch {
			case errors.Is(err, errAttestation), err == nil && !r.asked(a):
				return nil, nil
			case err != nil:
				return nil, fmt.Errorf("bundle: %w", err)
			}
			return a, nil
		},
	})
}

// asked reports whether a is an attestation of a type that was asked for.
func (r *attestationReader) asked(a *attached) bool {
	s := a.statement
	return s != nil && strings.HasPrefix(s.Type, statementType) && slices.Contains(r.types, s.PredicateType)
}

// legacy returns the layers of the image that cosign puts beside d under the tag
// "sha256-<hex>.att".
func (r *attestationReader) legacy(ctx context.Context, d name.Digest) ([]Candidate, error) {
	tag := d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1) + ".att")
	manifest, err := signatureManifest(ctx, r.puller, tag)
	if isNotFound(err, "/manifests/"+tag.TagStr()) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("manifest %q: %w", tag.Name(), err)
	}
	layers := slices.DeleteFunc(manifest.Layers, func(layer v1.Descriptor) bool {
		return layer.MediaType != cosigntypes.DssePayloadType || r.unasked(layer.Annotations[attestationTypeAnnotation])
	})
	if n := len(layers); n > maxAttestations {
		return nil, fmt.Errorf("manifest %q: %d attestations, more than the limit of %d", tag.Name(), n, maxAttestations)
	}
	found := make([]Candidate, len(layers))
	fetches, ctx := errgroup.WithContext(ctx)
	fetches.SetLimit(fetchesAtOnce)
	for i, layer := range layers {
		fetches.Go(func() (err error) {
			found[i], err = r.fetch(ctx, d.Context(), layer)
			found[i].position = i
			return err
		})
	}
	if err := fetches.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(c Candidate) bool { return c.evidence == nil && c.unusable == nil }), nil
}

// fetch reads one layer of the legacy layout; neither evidence nor a reason when it was not asked
// for.
func (r *attestationReader) fetch(ctx context.Context, repo name.Repository, layer v1.Descriptor) (Candidate, error) {
	c := Candidate{layout: LayoutLegacy, layer: layer}
	if err := r.take(layer.Size); err != nil {
		return c, err
	}
	content, err := fetchBlob(ctx, r.puller, repo.Digest(layer.Digest.String()), layer.Size)
	if err != nil {
		return c, fmt.Errorf("attestation %s: %w", layer.Digest, err)
	}
	a, err := parseEnvelope(content, layer.Annotations)
	switch {
	case errors.Is(err, errAttestation), err == nil && !r.asked(a):
	case err != nil:
		c.unusable = fmt.Errorf("attestation: %w", err)
	default:
		c.evidence = a
	}
	return c, nil
}

// parseEnvelope reads an attestation of the legacy layout, an envelope with its proofs in the
// annotations of its layer, as the bundle of the first version that holds the same. Timestamps (RFC
// 3161) are left out: in this layout they are over the envelope's text and not over the signature.
func parseEnvelope(content []byte, annotations map[string]string) (*attached, error) {
	var envelope dsse.Envelope
	if err := json.Unmarshal(content, &envelope); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return nil, fmt.Errorf("envelope: payload: %w", err)
	}
	signed := &protodsse.Envelope{Payload: payload, PayloadType: envelope.PayloadType}
	for _, s := range envelope.Signatures {
		raw, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			return nil, fmt.Errorf("envelope: signature: %w", err)
		}
		signed.Signatures = append(signed.Signatures, &protodsse.Signature{Sig: raw, Keyid: s.KeyID})
	}
	material, err := legacyMaterial(annotations)
	if err != nil {
		return nil, err
	}
	b, err := bundle.NewBundle(&protobundle.Bundle{
		MediaType:            bundleMediaType + "+json;version=0.1",
		VerificationMaterial: material,
		Content:              &protobundle.Bundle_DsseEnvelope{DsseEnvelope: signed},
	})
	if err != nil {
		return nil, err
	}
	return openBundle(b)
}

// legacyMaterial reads the proofs in the annotations of a layer. A chain beside the certificate is
// not looked at.
func legacyMaterial(annotations map[string]string) (*protobundle.VerificationMaterial, error) {
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{
		PublicKey: &common.PublicKeyIdentifier{},
	}}
	if text := annotations[static.CertificateAnnotationKey]; text != "" {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("annotation %q: no PEM block", static.CertificateAnnotationKey)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return nil, fmt.Errorf("annotation %q: %w", static.CertificateAnnotationKey, err)
		}
		material.Content = &protobundle.VerificationMaterial_Certificate{
			Certificate: &common.X509Certificate{RawBytes: block.Bytes},
		}
	}
	if text := annotations[static.BundleAnnotationKey]; text != "" {
		entry, err := parseLogEntry([]byte(text), "dsse 0.0.1", "intoto 0.0.2")
		if err != nil {
			return nil, fmt.Errorf("annotation %q: %w", static.BundleAnnotationKey, err)
		}
		material.TlogEntries = []*rekor.TransparencyLogEntry{entry}
	}
	return material, nil
}
