package evidence

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// Layout is how a signature is kept beside what it signs.
type Layout string

// The layouts.
const (
	LayoutLegacy Layout = "legacy" // a layer of the image tagged "sha256-<hex>.sig"
	LayoutBundle Layout = "bundle" // a Sigstore bundle among the referrers
)

// Candidate is a signature as found in the registry or the store, not checked against anything but
// its digest.
type Candidate struct {
	layout   Layout
	position int           // among the signatures of its layout
	layer    v1.Descriptor // the layer that holds it
	manifest *v1.Manifest  // that lists the layer; nil for a kept signature
	content  []byte        // of the layer; nil when unusable
	evidence evidence      // the same, understood; nil when unusable
	unusable error         // why it can count for no constraint
	proven   *proven       // see prove; nil: not asked for yet
}

// Unusable says why c can count for no constraint; nil when it can.
func (c Candidate) Unusable() error { return c.unusable }

// PredicateType returns what the statement of c is about; "" when c is unusable or has no
// statement.
func (c Candidate) PredicateType() string {
	if a, ok := c.evidence.(*attached); ok && a.statement != nil {
		return a.statement.PredicateType
	}
	return ""
}

// Statement returns the statement of an attestation as it was signed.
func (c Candidate) Statement() ([]byte, error) {
	return c.evidence.(*attached).content.EnvelopeContent().RawEnvelope().DecodeB64Payload()
}

// read makes evidence of the layer's content.
func (c *Candidate) read(content []byte) {
	var (
		understood evidence
		err        error
	)
	if c.layout == LayoutBundle {
		understood, err = parseBundle(content)
	} else {
		understood, err = newLayer(content, c.layer.Annotations)
	}
	if err != nil {
		c.unusable = err
		return
	}
	c.content, c.evidence = content, understood
}

// evidence is a signature with everything that came along. The embedded entity is how sigstore-go
// sees it.
type evidence interface {
	verify.SignedEntity

	// artifact is what the signature must be over for digest to be signed. It serves once.
	artifact(digest v1.Hash) verify.ArtifactPolicyOption

	// signedBy checks that the signature was made with the key of v, and nothing else.
	signedBy(ctx context.Context, v signature.Verifier, digest v1.Hash) error

	// claims reads what was signed and checks that it is about digest. The signature must have been
	// verified before.
	claims(digest v1.Hash) (Claims, error)
}

// keyContent stands for a key in sigstore-go's terms, in place of what the signature says it was
// made with.
type keyContent struct{ key crypto.PublicKey }

// CompareKey reports whether a log entry is by the key, alone or in a certificate.
func (k keyContent) CompareKey(logged any, _ root.TrustedMaterial) bool {
	if certificate, ok := logged.(*x509.Certificate); ok {
		logged = certificate.PublicKey
	}
	comparable, ok := k.key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(logged)
}

func (k keyContent) ValidAtTime(time.Time, root.TrustedMaterial) bool { return true }
func (k keyContent) Certificate() *x509.Certificate                   { return nil }
func (k keyContent) Intermediates() []*x509.Certificate               { return nil }
func (k keyContent) PublicKey() verify.PublicKeyProvider              { return k }

// Hint names the key within keyMaterial, which holds but one.
func (k keyContent) Hint() string { return "" }

// keyMaterial trusts one key, at any time.
func keyMaterial(v signature.Verifier) root.TrustedMaterial {
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})
}

// byKey is evidence that is looked at as made with a key, whatever it says itself.
type byKey struct {
	evidence
	content keyContent
}

func (e byKey) VerificationContent() (verify.VerificationContent, error) { return e.content, nil }
