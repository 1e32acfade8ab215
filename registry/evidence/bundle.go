package evidence

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// What a bundle must hold to be a signature: other predicates are attestations, which say something
// about an image and not that it was signed.
const (
	bundleMediaType   = "application/vnd.dev.sigstore.bundle" // what the type of its layer begins with
	statementType     = "https://in-toto.io/Statement/"       // and a version
	payloadType       = "application/vnd.in-toto+json"
	SignPredicateType = "https://sigstore.dev/cosign/sign/v1"
)

// attached is a signature in a Sigstore bundle: a statement in an envelope, or a bare signature
// over the manifest. Spec:
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
type attached struct {
	*bundle.Bundle
	content   verify.SignatureContent
	statement *statement // nil without an envelope
}

// statement is what an envelope says, as far as anything is decided by it.
//
//	{"_type":"https://in-toto.io/Statement/v1",
//	 "subject":[{"digest":{"sha256":"eb47…"},"annotations":{"env":"prod"}}],
//	 "predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}
type statement struct {
	Type          string `json:"_type"`
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Digest      map[string]string          `json:"digest"`
		Annotations map[string]json.RawMessage `json:"annotations"`
	} `json:"subject"`
}

// errAttestation is why a sound bundle is no signature.
var errAttestation = errors.New("attestation")

// parseBundle reads a bundle of any version sigstore-go knows. The error is errAttestation for one
// that is about something else than being signed.
func parseBundle(data []byte) (*attached, error) {
	a, err := decodeBundle(data)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	s := a.statement
	if s != nil && (s.PredicateType != SignPredicateType || !strings.HasPrefix(s.Type, statementType)) {
		return nil, fmt.Errorf("%w: predicate of type %.100q", errAttestation, s.PredicateType)
	}
	return a, nil
}

// decodeBundle is parseBundle for a statement of any predicate.
func decodeBundle(data []byte) (*attached, error) {
	b := new(bundle.Bundle)
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	return openBundle(b)
}

// openBundle reads what is signed in b.
func openBundle(b *bundle.Bundle) (_ *attached, err error) {
	a := &attached{Bundle: b}
	if a.content, err = a.SignatureContent(); err != nil {
		return nil, err
	}
	if a.content.MessageSignatureContent() != nil {
		return a, nil
	}
	envelope := a.content.EnvelopeContent().RawEnvelope()
	if envelope.PayloadType != payloadType {
		return nil, fmt.Errorf("%w: payload of type %.100q", errAttestation, envelope.PayloadType)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	a.statement = new(statement)
	if err := json.Unmarshal(payload, a.statement); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	if err := unambiguous(payload); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return a, nil
}

func (a *attached) artifact(digest v1.Hash) verify.ArtifactPolicyOption {
	sum, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return func(*verify.PolicyConfig) error { return err }
	}
	return verify.WithArtifactDigest(digest.Algorithm, sum)
}

func (a *attached) signedBy(_ context.Context, v signature.Verifier, digest v1.Hash) error {
	key, err := v.PublicKey()
	if err != nil {
		return err
	}
	content := keyContent{key}
	if a.statement != nil {
		return verify.VerifySignature(a.content, content, keyMaterial(v))
	}
	// Over the digest that the signature itself names; claims compares that with the one asked
	// about.
	sum := a.content.MessageSignatureContent().Digest()
	return verify.VerifySignatureWithArtifactDigests(a.content, content, keyMaterial(v),
		[]verify.ArtifactDigest{{Algorithm: digest.Algorithm, Digest: sum}})
}

// claims returns the annotations of the subject that has digest.
func (a *attached) claims(digest v1.Hash) (Claims, error) {
	if a.statement == nil {
		if sum := hex.EncodeToString(a.content.MessageSignatureContent().Digest()); sum != digest.Hex {
			return Claims{}, fmt.Errorf("%w: %.100q", ErrOtherDigest, sum)
		}
		return Claims{digest: digest.String()}, nil
	}
	var others []string
	for _, subject := range a.statement.Subject {
		sum := subject.Digest[digest.Algorithm]
		if sum == digest.Hex {
			return Claims{digest: digest.String(), annotations: scalarTexts(subject.Annotations)}, nil
		}
		others = append(others, digest.Algorithm+":"+sum)
	}
	return Claims{}, fmt.Errorf("%w: %.100q", ErrOtherDigest, strings.Join(others, " "))
}
