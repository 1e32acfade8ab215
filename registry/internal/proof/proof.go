// Package proof holds the one type that says "these bytes may run". Go's internal rule lets only
// registry and registry/verify import it, so nothing else can make a non-zero Digest: holding one
// is the proof.
package proof

import "github.com/google/go-containerregistry/pkg/name"

// Digest is a digest somebody answers for: its signatures met the verification config, or the
// operator gave up verification by name (Unsigned). The zero value vouches for nothing.
type Digest struct {
	digest  name.Digest
	vouched bool
	signed  bool
}

// Signed vouches for d because its signatures were verified. Only registry/verify calls it.
func Signed(d name.Digest) Digest { return Digest{digest: d, vouched: true, signed: true} }

// Unsigned vouches for d although nothing was verified.
func Unsigned(d name.Digest) Digest { return Digest{digest: d, vouched: true} }

// Digest returns what was vouched for; the zero name.Digest for a module that has none (files,
// plain downloads).
func (d Digest) Digest() name.Digest { return d.digest }

// Vouched reports whether d is more than the zero value.
func (d Digest) Vouched() bool { return d.vouched }

// IsSigned reports whether signatures were verified.
func (d Digest) IsSigned() bool { return d.signed }
