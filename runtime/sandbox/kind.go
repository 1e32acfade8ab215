package sandbox

import (
	"context"

	"policy-server/runtime/wasm"
)

// Kind is what guests are to their host: a [Library] or a [Command]. It decides how their instances
// come by an image.
type Kind interface {
	// startUp lists, in order, the exported functions of type () -> () that prepare a new instance.
	// Of each group the first that a module exports is run, none if it exports none.
	startUp() [][]string

	// retried lists the imported functions that a guest calls again at once when it is told to.
	retried() []wasm.Retry

	// ready prepares an engine for guests of this kind.
	ready(ctx context.Context, e *Engine) error

	// images returns how the instances of p come by an image.
	images(p *Pool) images
}

// images is how the instances of one pool come by an image. Unless said otherwise the pool holds
// its making, so that one goroutine at a time calls, and none after seal.
type images interface {
	// fits tells whether an instance that was reset can serve c. It may be called at any time.
	fits(c Call) bool

	// prepare makes what clone needs for c, unless it is there.
	prepare(ctx context.Context, c Call) error

	// started is told of a new instance that is about to run a step.
	started(i *Instance)

	// improvable tells whether there is an image that a step could improve, or none is needed.
	improvable() bool

	// improve lets what comes of step serve, if instances that are reset then pass all trials, of
	// which step is one.
	improve(ctx context.Context, step trial, all []trial)

	// seal gives up what is needed for warming up only; fresh: and the image. It says why calls
	// must have new instances even so, or "".
	seal(fresh bool) (reason string)

	// shared returns the images of another pool of the same program and configuration, which has
	// them from these. It comes after seal.
	shared(p *Pool) images

	// clone returns a new instance that is clean, and that can be reset unless the pool has come to
	// run fresh meanwhile. It may be called at any time after prepare, also by several goroutines.
	clone(ctx context.Context, c Call) (*Instance, error)

	// free frees the images, whose instances are closed already. It comes last.
	free()
}
