package sigstoretest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/mutate"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
)

// Attested is a statement that says something about d: a predicate, in JSON, of a type.
func Attested(d name.Digest, predicateType string, predicate []byte) ([]byte, error) {
	return json.Marshal(object{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       []object{{"name": d.Context().Name(), "digest": object{"sha256": d.DigestStr()[len("sha256:"):]}}},
		"predicateType": predicateType,
		"predicate":     json.RawMessage(predicate),
	})
}

// EnvelopeLayer returns s, made by SignStatement, as a layer of an ".att" image that announces a
// predicate type; AttachAttestation writes it.
func (s *Signature) EnvelopeLayer(predicateType string) (oci.Signature, error) {
	envelope, err := json.Marshal(dsse.Envelope{
		PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(s.Payload),
		Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(s.Raw)}},
	})
	if err != nil {
		return nil, err
	}
	options, err := s.layerOptions()
	if err != nil {
		return nil, err
	}
	return static.NewAttestation(envelope, append(options,
		static.WithLayerMediaType(cosigntypes.DssePayloadType),
		static.WithAnnotations(map[string]string{"predicateType": predicateType}))...)
}

// AttachAttestation adds an attestation to those that d has under its ".att" tag.
func AttachAttestation(ctx context.Context, d name.Digest, layer oci.Signature, opts ...remote.Option) error {
	options := ociremote.WithRemoteOptions(append(opts[:len(opts):len(opts)], remote.WithContext(ctx))...)
	entity, err := mutate.AttachAttestationToEntity(ociremote.SignedUnknown(d, options), layer)
	if err != nil {
		return fmt.Errorf("attach an attestation to %s: %w", d, err)
	}
	if err := ociremote.WriteAttestations(d.Repository, entity, options); err != nil {
		return fmt.Errorf("attach an attestation to %s: %w", d, err)
	}
	return nil
}
