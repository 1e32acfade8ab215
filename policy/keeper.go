package policy

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"
)

// Inputs are what a generation is made of. They may come from files, from a cluster, or from a
// test: the Keeper does not know.
type Inputs struct {
	Definitions []Definition
	Verifier    Verifier
	// Verification and KeepTags are the Loader's.
	Verification string
	KeepTags     bool
	// Strict publishes nothing unless some version of each policy can be served: how a server
	// starts that must not start with less than it was asked for.
	Strict bool
}

// Keeper keeps what is served: each Apply makes the next generation and puts it in the place of the
// one before. The start is its first caller; whatever else brings new inputs calls it as well.
// Goroutines may share it.
type Keeper struct {
	loader Loader // but for what Inputs have
	live   *Live
	mu     sync.Mutex // one Apply at a time
}

// NewKeeper returns a Keeper that loads with loader, but for what Inputs have, and serves through
// live.
func NewKeeper(loader Loader, live *Live) *Keeper { return &Keeper{loader: loader, live: live} }

// Apply makes a generation of inputs and serves it. What did not change is taken over, and so is
// the last good version of a policy whose new one fails (Loader.Load); Live.Statuses tells
// afterwards. It does not wait for the evaluations of the generation before: the last of them frees
// what is not served any more. Callers at the same time wait for each other.
//
// Nothing changes when ctx ends first, or when Strict and a policy has no version to serve: the
// error is then ctx's, or joins the *LoadErrors.
func (k *Keeper) Apply(ctx context.Context, inputs Inputs) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	loader := k.loader
	loader.Verifier, loader.Verification, loader.KeepTags = inputs.Verifier, inputs.Verification, inputs.KeepTags
	next := loader.Load(ctx, inputs.Definitions, k.live.current.Load())
	err := ctx.Err()
	if err == nil && inputs.Strict {
		err = next.Err()
	}
	if err != nil {
		return errors.Join(err, next.Close(context.WithoutCancel(ctx)))
	}
	loader.Log.Info("policies loaded", zap.Uint64("generation", next.generation),
		zap.Int("serving", len(next.IDs())), zap.Int("defined", len(inputs.Definitions)))
	k.live.replace(next)
	return nil
}
