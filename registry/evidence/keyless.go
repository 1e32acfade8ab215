package evidence

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"policy-server/registry/trust"
)

// Inspection is what the signatures of one digest are held against.
type Inspection struct {
	Digest v1.Hash
	Trust  *trust.Root // nil: no constraint needs it, and it is not at hand
}

// proven is what is known of a keyless signature once it was held against the trust root, for every
// constraint.
type proven struct {
	signature Signature
	claims    Claims
	err       error
}

// Prove verifies that c was made by the holder of a certificate while it was valid, was logged, and
// is about the digest, by the trust root, which must be there. It does so once for all constraints.
// The place of the signature is filled in.
func (in Inspection) Prove(ctx context.Context, c *Candidate) (Signature, Claims, error) {
	if c.proven == nil {
		c.proven = new(proven)
		c.proven.signature, c.proven.claims, c.proven.err = prover{in.Trust}.prove(ctx, c.evidence, in.Digest)
		c.proven.signature.Place = c.Place()
	}
	return c.proven.signature, c.proven.claims, c.proven.err
}

// prover proves signatures by a trust root. sigstore-go decides; binding the log entry to payload,
// signature and certificate is part of that.
type prover struct{ trust *trust.Root }

func (t prover) prove(ctx context.Context, e evidence, digest v1.Hash) (Signature, Claims, error) {
	leaf, err := leafOf(e)
	if err != nil {
		return Signature{}, Claims{}, err
	}
	identity, err := identityOf(leaf)
	if err != nil {
		return Signature{}, Claims{}, err
	}
	result, err := t.trust.Verifier().Verify(e, verify.NewPolicy(e.artifact(digest), verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return Signature{}, Claims{}, t.explain(ctx, e, leaf, digest, err)
	}
	claims, err := e.claims(digest)
	if err != nil {
		return Signature{}, Claims{}, err
	}
	entry, err := t.logged(e, func(e evidence) error {
		_, err := verify.VerifyTlogEntry(e, t.trust.Material(), 1, true)
		return err
	})
	if err != nil {
		return Signature{}, Claims{}, err
	}
	return Signature{
		Identity: &identity, Log: entry, Time: result.VerifiedTimestamps[0].Timestamp, Annotations: claims.annotations,
	}, claims, nil
}

func leafOf(e evidence) (*x509.Certificate, error) {
	content, err := e.VerificationContent()
	if err != nil {
		return nil, err
	}
	if leaf := content.Certificate(); leaf != nil {
		return leaf, nil
	}
	return nil, ErrNoCertificate
}

// explain finds out which of its parts made e fail, which the library only says in prose. It
// returns verdict when it finds none.
func (t prover) explain(
	ctx context.Context, e evidence, leaf *x509.Certificate, digest v1.Hash, verdict error,
) error {
	chains, err := verify.VerifyLeafCertificate(leaf.NotBefore, leaf, t.trust.Material())
	if err != nil {
		return fmt.Errorf("%w: issued by %q", ErrUntrustedCertificate, leaf.Issuer)
	}
	if key, err := NewPublicKey(leaf.PublicKey); err == nil {
		if err := key.checks(ctx, e, digest); err != nil {
			return fmt.Errorf("%w for the certificate's key: %w", ErrInvalidSignature, err)
		}
	}
	times, err := t.explainLog(e, leaf)
	if err != nil {
		return err
	}
	stamped, failed, err := verify.VerifySignedTimestamp(e, t.trust.Material())
	if err = errors.Join(append(failed, err)...); len(times)+len(stamped) == 0 {
		if err == nil {
			return ErrNoTime
		}
		return fmt.Errorf("%w: %w", ErrNoTime, err)
	}
	for _, stamp := range stamped {
		if err := checkValidity(leaf, stamp.Time); err != nil {
			return err
		}
	}
	if len(t.trust.Material().CTLogs()) > 0 {
		if err := verify.VerifySignedCertificateTimestamp(chains, 1, t.trust.Material()); err != nil {
			return fmt.Errorf("%w: %w", ErrUnloggedCertificate, err)
		}
	}
	if _, err := e.claims(digest); err != nil {
		return err
	}
	return verdict
}

// explainLog finds out what is wrong with the log entries of e, and returns the times they prove
// when nothing is.
func (t prover) explainLog(e evidence, leaf *x509.Certificate) ([]root.Timestamp, error) {
	entries, err := t.entries(e)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("%w: no entry", ErrNotLogged)
	}
	if entry := newLogEntry(entries[0]); !entry.Time.IsZero() {
		if err := checkValidity(leaf, entry.Time); err != nil {
			return nil, err
		}
	}
	times, err := verify.VerifyTlogEntry(e, t.trust.Material(), 1, true)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLogged, err)
	}
	return times, nil
}

// checkValidity reports a certificate that was not valid at the time something was signed with it.
func checkValidity(leaf *x509.Certificate, signed time.Time) error {
	switch {
	case signed.After(leaf.NotAfter):
		return fmt.Errorf("%w: valid until %s, signed at %s", ErrExpired, stamp(leaf.NotAfter), stamp(signed))
	case signed.Before(leaf.NotBefore):
		return fmt.Errorf("%w: valid from %s, signed at %s", ErrNotYetValid, stamp(leaf.NotBefore), stamp(signed))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// LogEntry is where a signature stands in a transparency log.
type LogEntry struct {
	ID    string    // of the log: the SHA-256 of its key, in hex digits
	Index int64     // of the entry in the log
	Time  time.Time // when the log promised to take it in; zero without a promise
}

func newLogEntry(entry *tlog.Entry) *LogEntry {
	found := &LogEntry{ID: logID(entry), Index: entry.LogIndex()}
	if entry.HasInclusionPromise() { // else nobody signed the time
		found.Time = entry.IntegratedTime()
	}
	return found
}

func logID(entry *tlog.Entry) string { return hex.EncodeToString([]byte(entry.LogKeyID())) }

// entries returns the entries of e that are in a log of the trust root; none only when e has none
// at all. That they are there and about e is not checked.
func (t prover) entries(e evidence) ([]*tlog.Entry, error) {
	all, err := e.TlogEntries()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLogged, err)
	}
	known := slices.DeleteFunc(slices.Clone(all), func(entry *tlog.Entry) bool {
		_, known := t.trust.Material().RekorLogs()[logID(entry)]
		return !known
	})
	if len(known) == 0 && len(all) > 0 {
		return nil, fmt.Errorf("%w: log %x is not in the trust root", ErrNotLogged, all[0].LogKeyID())
	}
	return known, nil
}

// logged returns the first entry of e that is in a log of the trust root, nil when e has no entries
// at all. Each of those in such a log must hold by itself: sigstore-go passes over an entry that
// the log did not promise as long as another one holds, and what the first one says of the time
// would be believed.
func (t prover) logged(e evidence, holds func(evidence) error) (*LogEntry, error) {
	entries, err := t.entries(e)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	for _, entry := range entries {
		if err := holds(withEntry{e, entry}); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotLogged, err)
		}
	}
	return newLogEntry(entries[0]), nil
}

// withEntry is evidence of whose log entries only one is looked at.
type withEntry struct {
	evidence
	entry *tlog.Entry
}

func (e withEntry) TlogEntries() ([]*tlog.Entry, error) { return []*tlog.Entry{e.entry}, nil }

// loggedBy returns where a signature by key is logged, nil where it does not claim to be. What is
// claimed must hold.
func (t prover) loggedBy(e evidence, key PublicKey) (*LogEntry, error) {
	material := root.TrustedMaterialCollection{t.trust.Material(), keyMaterial(key.verifiers[0])}
	return t.logged(e, func(e evidence) error {
		_, err := verify.VerifyTlogEntry(byKey{e, keyContent{key.public}}, material, 1, true)
		if leaf, leafErr := leafOf(e); err != nil && leafErr == nil && (keyContent{key.public}).CompareKey(leaf, nil) {
			// The second log enters a certificate as another thing than the key in it.
			_, err = verify.VerifyTlogEntry(e, material, 1, true)
		}
		return err
	})
}
