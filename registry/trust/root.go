package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	trustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Root is what keyless signatures are checked against: the certificate authorities, transparency
// logs and timestamp authorities of one Sigstore. It is immutable and may be shared by goroutines.
type Root struct {
	material *root.TrustedRoot
	verifier *verify.Verifier
	id       string
}

// Material returns the authorities and logs, as sigstore-go takes them.
func (r *Root) Material() root.TrustedMaterial { return r.material }

// Verifier returns sigstore-go's verifier of signatures with a certificate, by this trust root.
func (r *Root) Verifier() *verify.Verifier { return r.verifier }

// ID tells trust roots apart: the SHA-256 of what the document says, in hex digits. Two spellings
// of one document have the same.
func (r *Root) ID() string { return r.id }

// ErrNoRoot is why a document without a trust root is refused. Callers put the file's name before
// it, as Kubewarden does.
var ErrNoRoot = errors.New("missing trusted_root field")

// errNoAuthorities is worded as Kubewarden does.
var errNoAuthorities = errors.New("Fulcio certificates not found")

// Parse reads a Sigstore ClientTrustConfig or the trusted root that stands in one, as protobuf
// JSON: names in camelCase or snake_case, unknown fields ignored. A media type may be left out.
//
// The error is ErrNoRoot for a document that holds neither.
// Spec: https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
func Parse(data []byte) (*Root, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	content := data
	for _, key := range []string{"trustedRoot", "trusted_root"} {
		if inner, ok := top[key]; ok {
			content, top = inner, nil
		}
	}
	if top != nil && !isBareRoot(top) || string(content) == "null" {
		return nil, ErrNoRoot
	}
	document := new(trustroot.TrustedRoot)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(content, document); err != nil {
		return nil, err
	}
	return newRoot(document)
}

// isBareRoot tells a trusted root from other documents by what only it has.
func isBareRoot(top map[string]json.RawMessage) bool {
	for _, key := range []string{"certificateAuthorities", "certificate_authorities", "tlogs"} {
		if _, ok := top[key]; ok {
			return true
		}
	}
	return false
}

func newRoot(document *trustroot.TrustedRoot) (*Root, error) {
	// The library insists on one spelling of the one version; Kubewarden looks at neither.
	switch document.MediaType {
	case "", "application/vnd.dev.sigstore.trustedroot.v0.1+json", "application/vnd.dev.sigstore.trustedroot.v0.2+json":
		document = proto.CloneOf(document)
		document.MediaType = root.TrustedRootMediaType01
	}
	material, err := root.NewTrustedRootFromProtobuf(document)
	if err != nil {
		return nil, err
	}
	if len(material.FulcioCertificateAuthorities()) == 0 {
		return nil, errNoAuthorities
	}
	// A signature needs an entry in a log, and a time, of that log or of a timestamp authority, at
	// which its certificate was valid. Certificates must be logged as well where the trust root
	// knows how to tell.
	demands := []verify.VerifierOption{
		verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate(),
	}
	if len(material.CTLogs()) > 0 {
		demands = append(demands, verify.WithSignedCertificateTimestamps(1))
	}
	verifier, err := verify.NewVerifier(material, demands...)
	if err != nil {
		return nil, err
	}
	canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(document)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(canonical)
	return &Root{material: material, verifier: verifier, id: hex.EncodeToString(sum[:])}, nil
}
