// Package verify decides whether the signatures on a digest meet the verification config. It owns
// the config file, its constraints, and what policies demand of images; package evidence finds and
// proves the signatures. It does not resolve tags, fetch modules or know what is done with the
// answer.
//
// Signatures by public keys need no trust root and no network but the registry; those by
// certificates of a Sigstore (keyless) need its trust root, and nothing else once that is there.
package verify

import (
	"context"
	"errors"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/document"
	"policy-server/registry"
	"policy-server/registry/evidence"
	"policy-server/registry/internal/proof"
	"policy-server/registry/trust"
)

// Verifier checks digests against one Config. It is immutable and may be shared by goroutines.
type Verifier struct {
	cfg     Config
	need    need
	options Options
}

// Options are what a Verifier works with.
type Options struct {
	// Remote returns the options for a verification's requests to registries: transport and
	// credentials.
	Remote func(context.Context) []remote.Option
	// Trust is where the trust root comes from. The zero value has none, which suits configs
	// without keyless constraints.
	Trust trust.Source
	// Store keeps the signatures that a Verifier found, for when their registry cannot be reached.
	// The zero value keeps none. Demands never use it: what an image is asked about is the
	// registry's to say.
	Store registry.Store
}

// New returns a Verifier for cfg. It does no I/O, so that one can be made for each set of
// constraints. It refuses a cfg that everything or nothing would meet, as ParseConfig does.
func New(cfg Config, options Options) (*Verifier, error) {
	if cfg.AllOf == nil && cfg.AnyOf == nil {
		return nil, errors.New(noSignatures)
	}
	found := new(document.Faults)
	for path, c := range cfg.constraints() {
		if c == nil {
			found.Add(path, "missing")
		}
	}
	cfg.check(found)
	if err := notValidError(found); err != nil {
		return nil, err
	}
	return &Verifier{cfg: cfg, need: cfg.need(), options: options}, nil
}

// need is how much a constraint depends on a trust root.
type need int

const (
	needNot  need = iota // used when it is at hand
	needRoot             // cannot be evaluated without
)

// root returns the trust root of source; nil when it is not needed and not at hand.
func (n need) root(ctx context.Context, source trust.Source) (*trust.Root, error) {
	if n == needNot {
		return source.AtHand(), nil
	}
	return source.Require(ctx)
}

// Prepare returns the trust root that digests are checked against, so that a start can fail before
// anything is fetched. It is nil when the config needs none and none is at hand. The error is a
// *trust.RootError.
func (v *Verifier) Prepare(ctx context.Context) (*trust.Root, error) {
	return v.need.root(ctx, v.options.Trust)
}

// Verify returns the proof that the signatures of d meet the config. Errors as for Check.
func (v *Verifier) Verify(ctx context.Context, d name.Digest) (proof.Digest, error) {
	report, err := v.Check(ctx, d)
	return report.Digest, err
}

// Check looks for the signatures of d beside it in its registry and evaluates them. A place of the
// registry that cannot be reached is answered for by the store, if signatures suffice that were
// there when it was asked last. The error is
//
//   - an *UnverifiedError when what was found does not meet the config, also when nothing was
//     found;
//   - a *trust.RootError when a constraint needs a trust root and there is none;
//   - a *LookupError when signatures could not be read, and those that could do not suffice.
//
// The latter two wrap the reason, ctx's error among them. Check blocks for as long as the registry
// takes, and the trust root's source where that is asked; ctx at most.
func (v *Verifier) Check(ctx context.Context, d name.Digest) (Report, error) {
	digest, err := v1.NewHash(d.DigestStr())
	if err != nil {
		return Report{}, &LookupError{Digest: d, Err: err}
	}
	root, err := v.need.root(ctx, v.options.Trust)
	if err != nil {
		return Report{}, err
	}
	in := evidence.Inspection{Digest: digest, Trust: root}
	found := evidence.Discover(ctx, d, v.options.Remote, func(found []evidence.Candidate) bool {
		_, unverified := v.cfg.evaluate(ctx, in, found)
		return unverified == nil
	})
	report, unverified := v.cfg.evaluate(ctx, in, found.Candidates())
	if unverified == nil || found.Err() == nil {
		evidence.Keep(v.options.Store, d, found.Candidates(), report.places())
	}
	if unverified == nil {
		report.Digest = proof.Signed(d)
		return report, nil
	}
	unverified.Digest, unverified.Odd = d, found.Odd()
	if found.Err() == nil {
		return Report{}, unverified
	}
	return v.checkKept(ctx, d, in, found, unverified)
}
