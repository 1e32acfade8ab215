package verify

import (
	"context"
	"errors"
	"fmt"
)

// TrustSource is where a Verifier gets its trust root from. The zero value has none: keyless constraints are then
// refused.
type TrustSource struct {
	given *TrustRoot
	fetch func(context.Context) (*TrustRoot, error)
}

// GivenTrust is the source of a trust root that is there. It is also used where no constraint needs it: log entries
// beside signatures by keys are then checked.
func GivenTrust(r *TrustRoot) TrustSource { return TrustSource{given: r} }

// FetchedTrust is a source that calls fetch each time a constraint needs a trust root, and never otherwise.
func FetchedTrust(fetch func(context.Context) (*TrustRoot, error)) TrustSource {
	return TrustSource{fetch: fetch}
}

// need is how much a config depends on a trust root.
type need int

const (
	needNot  need = iota // used when it is at hand
	needRoot             // cannot be evaluated without
)

// root returns the trust root; nil when it is not needed and not at hand.
func (s TrustSource) root(ctx context.Context, n need) (*TrustRoot, error) {
	if s.given != nil || n == needNot {
		return s.given, nil
	}
	if s.fetch == nil {
		return nil, &TrustRootError{Err: errors.New("none is configured")}
	}
	r, err := s.fetch(ctx)
	if err != nil {
		return nil, &TrustRootError{Err: err}
	}
	return r, nil
}

// TrustRootError reports that the trust root which keyless constraints need cannot be had. Nothing is known about the
// signatures then, and nothing is accepted.
type TrustRootError struct {
	Err error
}

func (e *TrustRootError) Error() string {
	return fmt.Sprintf("Error building Sigstore trust root: %v. Note that verification options were provided, "+
		"so a Sigstore trust root is required.", e.Err)
}

// Unwrap returns the reason, in which ctx's error stays visible.
func (e *TrustRootError) Unwrap() error { return e.Err }

// Hint says what the operator can do.
func (e *TrustRootError) Hint() string {
	return "give a Sigstore trust root as a file (--sigstore-trust-config), which needs no network, or let " +
		publicGoodURL + " be reached; constraints of kind pubKey need neither"
}
