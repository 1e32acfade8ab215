package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/registry"
)

// place is where signatures of one layout lie beside a digest, with what was found there.
type place struct {
	layout Layout
	found  []Candidate // in no way checked
	err    error       // why there may be more
	odd    string      // what answered for a list of referrers and was none; "" usually
}

// Discovery is what the places of a digest's signatures answered.
type Discovery [2]place

// Candidates returns what was found, legacy signatures first.
func (d Discovery) Candidates() []Candidate { return slices.Concat(d[0].found, d[1].found) }

// Err says why there may be more; nil when both places answered.
func (d Discovery) Err() error { return errors.Join(d[0].err, d[1].err) }

// Odd is what the registry's endpoint for referrers answered in place of a list: it was taken for
// one that is not there. It is "" for registries that answer properly.
func (d Discovery) Odd() string { return d[0].odd + d[1].odd }

// Unreachable are the layouts that could not be asked for.
func (d Discovery) Unreachable() map[Layout]bool {
	layouts := map[Layout]bool{}
	for _, p := range d {
		if p.err != nil && registry.IsUnavailable(p.err) {
			layouts[p.layout] = true
		}
	}
	return layouts
}

// grace is how long a silent place is waited for when what the other one holds suffices: longer
// than registries take to say no, and less than a start or a request can spare.
const grace = 2 * time.Second

// Discover looks for the signatures of d in both places at once; an error in one does not keep what
// was found in the other. It asks enough, once, whether what one place holds suffices when the
// other one is silent.
func Discover(
	ctx context.Context, d name.Digest, options func(context.Context) []remote.Option, enough func([]Candidate) bool,
) Discovery {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// One puller for both places: it asks for a token once.
	reach := options(ctx)
	puller, err := remote.NewPuller(reach...)
	if err != nil {
		return Discovery{{layout: LayoutLegacy, err: err}}
	}
	answers := make(chan place)
	go func() {
		found, err := legacySignatures(ctx, puller, d)
		answers <- place{layout: LayoutLegacy, found: found, err: err}
	}()
	go func() {
		ctx, answer := registry.WatchReferrers(ctx)
		found, err := bundleSignatures(ctx, puller, d, reach)
		answers <- place{layout: LayoutBundle, found: found, err: err, odd: answer.String()}
	}()
	first := <-answers
	second, silent := awaitPlace(answers)
	if silent && enough(first.found) {
		cancel()
		second = <-answers
		second.err = fmt.Errorf("no answer within %s after the other place's: %w", grace, second.err)
	} else if silent {
		second = <-answers
	}
	if first.layout == LayoutLegacy {
		return Discovery{first, second}
	}
	return Discovery{second, first} // in one order, whoever answered sooner
}

// awaitPlace returns the next answer, unless it takes longer than grace.
func awaitPlace(answers <-chan place) (answer place, silent bool) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case answer = <-answers:
		return answer, false
	case <-timer.C:
		return place{}, true
	}
}
