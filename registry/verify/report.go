package verify

import (
	"fmt"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"policy-server/registry/internal/proof"
)

// Report says what a verified digest was accepted for.
type Report struct {
	Digest proof.Digest // signed
	Met    []Met        // allOf first, each half in the config's order; of anyOf those that were met
	Unmet  []Unmet      // of anyOf, those that were not needed

	// Unreachable is why the registry could not be asked, so that signatures kept in the store counted; nil when it could.
	// They are as good as they were, but the registry may have removed them since.
	Unreachable error
}

// Met is a constraint with the first signature that met it.
type Met struct {
	Path       string // in the file: "allOf[0]"
	Constraint Constraint
	Signature  Signature

	others []Signature // that met it too, where signers are counted
}

// Unmet is a constraint that no signature met.
type Unmet struct {
	Path       string // in the file: "anyOf.signatures[1]"
	Constraint Constraint
	Rejections []Rejection // one for each signature found
}

// Rejection says why a signature did not count for a constraint.
type Rejection struct {
	Place
	Reason error // one of the Err values with details, unless the signature is damaged
}

// Place is where a signature was found.
type Place struct {
	Layout   Layout
	Position int     // among the signatures of its layout, from 0
	Layer    v1.Hash // the layer that holds it: the signed payload, or the bundle
}

// String returns "signature 0 (sha256:9f2c…)", or "bundle 0 (…)".
func (p Place) String() string {
	what := "signature"
	if p.Layout == LayoutBundle {
		what = "bundle"
	}
	return fmt.Sprintf("%s %d (%s)", what, p.Position, p.Layer)
}

func (c candidate) place() Place {
	return Place{Layout: c.layout, Position: c.position, Layer: c.layer.Digest}
}

// Signature is a signature that was verified.
type Signature struct {
	Place
	Key         string            // fingerprint (PublicKey.Fingerprint) of the key asked for; empty for keyless ones
	Identity    *Identity         // who made it; nil for signatures by a key
	Log         *LogEntry         // where it was logged; nil when that was neither asked for nor said
	Time        time.Time         // when it was logged or timestamped; zero when not known
	Annotations map[string]string // signed along; numbers and booleans as text, other values left out
}

// signer names who made the signature, the same for all of one signer.
func (s Signature) signer() string {
	if s.Identity != nil {
		return fmt.Sprintf("%q %q", s.Identity.Issuer, s.Identity.Subject)
	}
	return s.Key
}

// String says in one line who made the signature, and when:
//
//	bundle 0 (sha256:9f2c…): subject "alice@example.com" of issuer "https://accounts.example.com",
//	at 2026-01-02T03:04:05Z, entry 7 of log c0d2…
func (s Signature) String() string {
	text := s.Place.String() + ": "
	if s.Identity != nil {
		text += s.Identity.String()
	} else {
		text += "key " + s.Key
	}
	if !s.Time.IsZero() {
		text += ", at " + stamp(s.Time)
	}
	if s.Log != nil {
		text += fmt.Sprintf(", entry %d of log %s", s.Log.Index, s.Log.ID)
	}
	return text
}

// maxReason is how much of a reason is said, in bytes. Parts of it are in the words of whoever made the signature, who may
// have used a megabyte of them, and it is said for each signature and constraint.
const maxReason = 1000

// String says in one line why the signature did not count.
func (r Rejection) String() string {
	reason := strings.ReplaceAll(r.Reason.Error(), "\n", "; ")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") + "…"
	}
	return r.Place.String() + ": " + reason
}
