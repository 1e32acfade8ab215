package evidence

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// ByKey verifies that c was made with the key, over a payload that names the digest. The payload is
// only read once the signature over it holds. A log entry beside it must hold too, when there is a
// trust root.
func (in Inspection) ByKey(ctx context.Context, key PublicKey, c *Candidate) (Signature, Claims, error) {
	if err := key.checks(ctx, c.evidence, in.Digest); err != nil {
		return Signature{}, Claims{}, fmt.Errorf("%w for key %s: %w", ErrInvalidSignature, key.Fingerprint(), err)
	}
	claims, err := c.evidence.claims(in.Digest)
	if err != nil {
		return Signature{}, Claims{}, err
	}
	signed := Signature{Place: c.Place(), Key: key.Fingerprint(), Annotations: claims.annotations}
	if in.Trust == nil {
		return signed, claims, nil
	}
	if signed.Log, err = (prover{in.Trust}).loggedBy(c.evidence, key); signed.Log != nil {
		signed.Time = signed.Log.Time
	}
	return signed, claims, err
}

// checks reports whether e was made with the key, with any of the hashes it may be used with.
func (k PublicKey) checks(ctx context.Context, e evidence, digest v1.Hash) (err error) {
	for _, v := range k.verifiers {
		if err = e.signedBy(ctx, v, digest); err == nil {
			return nil
		}
	}
	return err
}

// SigningTime returns when c was made, which was logged at entry, and at which leaf must have been
// valid: what the log promised, else what a timestamp authority says.
func (in Inspection) SigningTime(c *Candidate, entry *LogEntry, leaf *x509.Certificate) (time.Time, error) {
	at := entry.Time
	if at.IsZero() {
		stamped, failed, err := verify.VerifySignedTimestamp(c.evidence, in.Trust.Material())
		if len(stamped) == 0 {
			return time.Time{}, fmt.Errorf("%w: %w", ErrNoTime, errors.Join(append(failed, err, errNoStamp)...))
		}
		at = stamped[0].Time
	}
	return at, checkValidity(leaf, at)
}

// errNoStamp is what is missing when nothing is wrong with what is there.
var errNoStamp = errors.New("no timestamp")
