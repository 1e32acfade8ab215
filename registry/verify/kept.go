package verify

import (
	"context"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/registry"
	"policy-server/registry/evidence"
	"policy-server/registry/internal/proof"
)

// places are those of the signatures that counted.
func (r Report) places() map[evidence.Place]bool {
	counted := map[evidence.Place]bool{}
	for _, met := range r.Met {
		counted[met.Signature.Place] = true
		for _, other := range met.others {
			counted[other.Place] = true
		}
	}
	return counted
}

// checkKept is the end of Check when what is there does not suffice, for the reason rest, and more
// may be: kept signatures count in the places that cannot be reached. A place that refuses, or has
// none, has answered.
func (v *Verifier) checkKept(
	ctx context.Context, d name.Digest, in evidence.Inspection, found evidence.Discovery, rest *UnverifiedError,
) (Report, error) {
	failed := &LookupError{Digest: d, Err: found.Err()}
	if rest.Found > 0 {
		failed.Rest = rest
	}
	unreachable := found.Unreachable()
	if ctx.Err() != nil || len(unreachable) == 0 || v.options.Store == (registry.Store{}) {
		return Report{}, failed
	}
	kept, err := evidence.Kept(v.options.Store, d, unreachable)
	if err != nil || len(kept) == 0 {
		failed.Kept = err
		return Report{}, failed
	}
	report, rest := v.cfg.evaluate(ctx, in, slices.Concat(found.Candidates(), kept))
	if rest != nil {
		rest.Digest, failed.Rest = d, rest
		return Report{}, failed
	}
	report.Digest, report.Unreachable = proof.Signed(d), found.Err()
	return report, nil
}
