package trust

import (
	"context"
	"errors"
	"fmt"
)

// Source is where a trust root comes from. The zero value has none: keyless constraints are then
// refused.
type Source struct {
	given *Root
	fetch func(context.Context) (*Root, error)
}

// Given is the source of a trust root that is there. It is also used where no constraint needs it:
// log entries beside signatures by keys are then checked.
func Given(r *Root) Source { return Source{given: r} }

// Fetched is a source that calls fetch each time a constraint needs a trust root, and never
// otherwise.
func Fetched(fetch func(context.Context) (*Root, error)) Source {
	return Source{fetch: fetch}
}

// AtHand returns the trust root that was given; nil where none was. It never fetches one.
func (s Source) AtHand() *Root { return s.given }

// Require returns the trust root, fetched unless it was given. The error is a *RootError.
func (s Source) Require(ctx context.Context) (*Root, error) {
	if s.given != nil {
		return s.given, nil
	}
	if s.fetch == nil {
		return nil, &RootError{Err: errors.New("none is configured")}
	}
	r, err := s.fetch(ctx)
	if err != nil {
		return nil, &RootError{Err: err}
	}
	return r, nil
}

// RootError reports that the trust root which keyless constraints need cannot be had. Nothing is
// known about the signatures then, and nothing is accepted.
type RootError struct {
	Err error
}

func (e *RootError) Error() string {
	return fmt.Sprintf("Error building Sigstore trust root: %v. Note that verification options were provided, "+
		"so a Sigstore trust root is required.", e.Err)
}

// Unwrap returns the reason, in which ctx's error stays visible.
func (e *RootError) Unwrap() error { return e.Err }

// Hint says what the operator can do.
func (e *RootError) Hint() string {
	return "give a Sigstore trust root as a file (--sigstore-trust-config), which needs no network, or let " +
		publicGoodURL + " be reached; constraints of kind pubKey need neither"
}
