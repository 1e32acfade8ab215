package sign

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/mutate"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// Claims returns what a legacy signature signs for d: a simple-signing payload with annotations,
// which may be nil.
func Claims(d name.Digest, annotations map[string]string) ([]byte, error) {
	claims := payload.Cosign{Image: d}
	if len(annotations) > 0 {
		claims.Annotations = map[string]any{}
		for key, value := range annotations {
			claims.Annotations[key] = value
		}
	}
	return claims.MarshalJSON()
}

// attachLegacy adds signed, which signs claims, to the layers of d's signature image.
func (s *Signer) attachLegacy(ctx context.Context, d name.Digest, claims []byte, signed *protobundle.Bundle) error {
	witnesses, err := witnesses(signed)
	if err != nil {
		return err
	}
	encoded := base64.StdEncoding.EncodeToString(signed.GetMessageSignature().GetSignature())
	layer, err := static.NewSignature(claims, encoded, witnesses...)
	if err != nil {
		return err
	}
	return attachLayer(d, layer, s.cfg.Remote(ctx))
}

// AttachLayer adds a signature, whatever it signs, to those d has in the legacy layout. The error
// is an *AttachError.
func AttachLayer(ctx context.Context, d name.Digest, layer oci.Signature, options ...remote.Option) error {
	if err := attachLayer(d, layer, append(slices.Clone(options), remote.WithContext(ctx))); err != nil {
		return newAttachError(d, err)
	}
	return nil
}

func attachLayer(d name.Digest, layer oci.Signature, reach []remote.Option) error {
	options := ociremote.WithRemoteOptions(reach...)
	entity, err := mutate.AttachSignatureToEntity(ociremote.SignedUnknown(d, options), layer)
	if err != nil {
		return err
	}
	return ociremote.WriteSignatures(d.Repository, entity, options)
}

// witnesses returns the layer's annotations for what is in a bundle beside the signature.
func witnesses(signed *protobundle.Bundle) ([]static.Option, error) {
	material := signed.GetVerificationMaterial()
	var found []static.Option
	if der := material.GetCertificate().GetRawBytes(); der != nil {
		// Without its issuers: verifiers have them from a trust root, or should not trust it.
		found = append(found, static.WithCertChain(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil))
	}
	for _, entry := range material.GetTlogEntries() {
		logged, err := rekorBundle(entry)
		if err != nil {
			return nil, err
		}
		found = append(found, static.WithBundle(logged))
	}
	for _, stamp := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
		found = append(found, static.WithRFC3161Timestamp(bundle.TimestampToRFC3161Timestamp(stamp.GetSignedTimestamp())))
	}
	return found, nil
}

// rekorBundle returns the log's promise to include an entry. Logs of the second version make none.
func rekorBundle(entry *protorekor.TransparencyLogEntry) (*bundle.RekorBundle, error) {
	promise := entry.GetInclusionPromise().GetSignedEntryTimestamp()
	if promise == nil {
		return nil, errors.New("the transparency log signed no timestamp of the entry: the legacy layout needs one, the other does not")
	}
	return &bundle.RekorBundle{
		SignedEntryTimestamp: promise,
		Payload: bundle.RekorPayload{
			Body:           base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()),
			IntegratedTime: entry.GetIntegratedTime(),
			LogIndex:       entry.GetLogIndex(),
			LogID:          hex.EncodeToString(entry.GetLogId().GetKeyId()),
		},
	}, nil
}
