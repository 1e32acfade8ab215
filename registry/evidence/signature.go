package evidence

import (
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

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

// Place returns where c was found.
func (c Candidate) Place() Place {
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

// Signer names who made the signature, the same for all of one signer.
func (s Signature) Signer() string {
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
