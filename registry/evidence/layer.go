package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// layer is a signature of the legacy layout: a simple-signing payload, and around it what the
// annotations of its layer say. Only the signature is read at once: the rest does not matter to
// signatures by keys.
type layer struct {
	verify.BaseSignedEntity
	payload     []byte
	raw         []byte            // the signature
	signature   oci.Signature     // the two as cosign takes them
	annotations map[string]string // of the layer, never empty of the signature
}

func newLayer(payload []byte, annotations map[string]string) (*layer, error) {
	encoded := annotations[static.SignatureAnnotationKey]
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("annotation %q: %w", static.SignatureAnnotationKey, err)
	}
	// Certificate and log entry are left out here: for a signature by a listed key they prove
	// nothing, and cosign would refuse it once the certificate has expired.
	sig, err := static.NewSignature(payload, encoded)
	return &layer{payload: payload, raw: raw, signature: sig, annotations: annotations}, err
}

// Version lets sigstore-go take P-384 keys with SHA-256 too, as cosign uses them.
func (l *layer) Version() (string, error) { return "v0.1", nil }

func (l *layer) SignatureContent() (verify.SignatureContent, error) {
	sum := sha256.Sum256(l.payload)
	return bundle.NewMessageSignature(sum[:], common.HashAlgorithm_SHA2_256.String(), l.raw), nil
}

// VerificationContent returns the certificate. A chain beside it is not looked at: issuers come
// from the trust root.
func (l *layer) VerificationContent() (verify.VerificationContent, error) {
	text, ok := l.annotations[static.CertificateAnnotationKey]
	if !ok || text == "" {
		return nil, ErrNoCertificate
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, fmt.Errorf("annotation %q: no PEM block", static.CertificateAnnotationKey)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("annotation %q: %w", static.CertificateAnnotationKey, err)
	}
	return bundle.NewCertificate(leaf), nil
}

// TlogEntries returns the one log entry there may be, as it was promised by the log.
func (l *layer) TlogEntries() ([]*tlog.Entry, error) {
	text, ok := l.annotations[static.BundleAnnotationKey]
	if !ok || text == "" {
		return nil, nil
	}
	logged, err := parseLogEntry([]byte(text), "hashedrekord 0.0.1")
	if err != nil {
		return nil, fmt.Errorf("annotation %q: %w", static.BundleAnnotationKey, err)
	}
	entry, err := tlog.ParseTransparencyLogEntry(logged)
	if err != nil {
		return nil, fmt.Errorf("annotation %q: %w", static.BundleAnnotationKey, err)
	}
	return []*tlog.Entry{entry}, nil
}

func (l *layer) HasInclusionPromise() bool { return l.annotations[static.BundleAnnotationKey] != "" }

// parseLogEntry reads the log entry beside a legacy signature:
//
//	{"SignedEntryTimestamp":"MEUC…",
//	 "Payload":{"body":"eyJh…","integratedTime":1645806604,"logIndex":1506651,"logID":"c0d2…"}}
//
// Its body must be of a kind that is listed, such as "hashedrekord 0.0.1": of those that bind
// payload, signature and certificate.
func parseLogEntry(text []byte, kinds ...string) (*rekor.TransparencyLogEntry, error) {
	var entry cosignbundle.RekorBundle
	if err := json.Unmarshal(text, &entry); err != nil {
		return nil, err
	}
	encoded, ok := entry.Payload.Body.(string)
	if !ok {
		return nil, errors.New("body: want a string")
	}
	body, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	id, err := hex.DecodeString(entry.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("logID: %w", err)
	}
	if len(entry.SignedEntryTimestamp) == 0 {
		return nil, errors.New("SignedEntryTimestamp: missing")
	}
	var kind struct{ Kind, APIVersion string }
	if err := json.Unmarshal(body, &kind); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if !slices.Contains(kinds, kind.Kind+" "+kind.APIVersion) {
		return nil, fmt.Errorf("body: entry of kind %.100q %.100q; want %s",
			kind.Kind, kind.APIVersion, strings.Join(kinds, " or "))
	}
	return &rekor.TransparencyLogEntry{
		LogIndex:          entry.Payload.LogIndex,
		LogId:             &common.LogId{KeyId: id},
		KindVersion:       &rekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime:    entry.Payload.IntegratedTime,
		InclusionPromise:  &rekor.InclusionPromise{SignedEntryTimestamp: entry.SignedEntryTimestamp},
		CanonicalizedBody: body,
	}, nil
}

// Timestamps returns the one timestamp (RFC 3161) there may be.
func (l *layer) Timestamps() ([][]byte, error) {
	text, ok := l.annotations[static.RFC3161TimestampAnnotationKey]
	if !ok || text == "" {
		return nil, nil
	}
	var stamp *cosignbundle.RFC3161Timestamp
	if err := json.Unmarshal([]byte(text), &stamp); err != nil {
		return nil, fmt.Errorf("annotation %q: %w", static.RFC3161TimestampAnnotationKey, err)
	}
	if stamp == nil {
		return nil, nil
	}
	return [][]byte{stamp.SignedRFC3161Timestamp}, nil
}

func (l *layer) artifact(v1.Hash) verify.ArtifactPolicyOption {
	return verify.WithArtifact(bytes.NewReader(l.payload))
}

func (l *layer) signedBy(ctx context.Context, v signature.Verifier, digest v1.Hash) error {
	var claimErr error
	_, err := cosign.VerifyImageSignature(ctx, l.signature, digest, &cosign.CheckOpts{
		SigVerifier: v,
		// Left nil, cosign would accept a signature made for another digest.
		ClaimVerifier: func(oci.Signature, v1.Hash, map[string]any) error {
			_, claimErr = l.claims(digest)
			return claimErr
		},
		IgnoreTlog: true, IgnoreSCT: true, Offline: true,
	})
	if claimErr != nil {
		return nil // the signature holds; claims says later what is wrong with the payload
	}
	return err
}

func (l *layer) claims(digest v1.Hash) (Claims, error) {
	claims, err := parseClaims(l.payload)
	if err != nil {
		return Claims{}, err
	}
	if claims.digest != digest.String() {
		return Claims{}, fmt.Errorf("%w: %.100q", ErrOtherDigest, claims.digest)
	}
	return claims, nil
}
