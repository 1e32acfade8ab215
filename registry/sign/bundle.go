package sign

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// The types that make a bundle a signature on an image, and not an attestation about one.
const (
	statementType = "application/vnd.in-toto+json"
	predicateType = "https://sigstore.dev/cosign/sign/v1"
)

// statement returns what a bundle signs for d: an in-toto statement, version 1, about the digest.
// Annotations are the subject's, where cosign 3 keeps them.
func statement(d name.Digest, annotations map[string]string) ([]byte, error) {
	type subject struct {
		Digest      map[string]string `json:"digest"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	algorithm, hex, _ := strings.Cut(d.DigestStr(), ":")
	return json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     struct{}  `json:"predicate"`
	}{
		Type:          "https://in-toto.io/Statement/v1",
		Subject:       []subject{{map[string]string{algorithm: hex}, annotations}},
		PredicateType: predicateType,
	})
}

// attachBundle makes signed a referrer of d: through the registry's list of them, or the tag that
// stands for it where there is none.
func (s *Signer) attachBundle(ctx context.Context, d name.Digest, signed *protobundle.Bundle) (v1.Hash, error) {
	document, err := protojson.Marshal(signed)
	if err != nil {
		return v1.Hash{}, err
	}
	return hashOf(document), ociremote.WriteAttestationNewBundleFormat(d, document, predicateType, ociremote.WithRemoteOptions(s.cfg.Remote(ctx)...))
}
