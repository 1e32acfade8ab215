package evidence

import (
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Found is a signature as it lies in the registry. Nothing about it was verified: anybody who may
// push there can have written it.
type Found struct {
	Place
	Manifest    *v1.Manifest      // that lists the layer; all legacy signatures share one
	Descriptor  v1.Descriptor     // of the layer
	Keyless     *Identity         // what the certificate says, nil without one
	Log         *LogEntry         // what it says of where it was logged, nil when nothing
	Annotations map[string]string // what it says to have signed along
	Unusable    error             // why it can count for no constraint; nil when it can
}

// Describe reads c without believing it.
func (c Candidate) Describe(digest v1.Hash) Found {
	f := Found{Place: c.Place(), Manifest: c.manifest, Descriptor: c.layer, Unusable: c.unusable}
	if f.Unusable != nil {
		return f
	}
	claims, err := c.evidence.claims(digest)
	f.Annotations = claims.annotations
	if leaf, leafErr := leafOf(c.evidence); leafErr == nil {
		identity, identityErr := identityOf(leaf)
		f.Keyless, err = &identity, errors.Join(err, identityErr)
	} else if !errors.Is(leafErr, ErrNoCertificate) {
		err = errors.Join(err, leafErr)
	}
	entries, entryErr := c.evidence.TlogEntries()
	if len(entries) > 0 {
		f.Log = newLogEntry(entries[0])
	}
	f.Unusable = errors.Join(err, entryErr)
	return f
}
