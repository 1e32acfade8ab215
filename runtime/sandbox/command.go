package sandbox

import (
	"context"
	"errors"
	"slices"

	"policy-server/runtime/wasm"
)

// Command is the kind of guests that are WASI commands: running "_start" is all of an instance's
// life. An instance that serves from an image is held at its first read of stdin, and has an image
// of its own.
type Command struct {
	// Args are the arguments of the runs that go on from an image. All other runs are new.
	Args []string
}

// commandStart is the function that is a command's run.
const commandStart = "_start"

func (Command) startUp() [][]string { return nil }

// retried lists the reads at which commands are held.
func (Command) retried() (list []wasm.Retry) {
	for _, module := range wasiModules {
		list = append(list, wasm.Retry{Module: module, Name: fdRead, Errno: retryErrno})
	}
	return list
}

func (Command) ready(ctx context.Context, e *Engine) error { return e.compileLauncher(ctx) }

func (c Command) images(p *Pool) images { return &commandImages{pool: p, args: c.Args} }

// commandImages is how commands come by images: each by its own. Of a step nothing is kept.
type commandImages struct {
	pool   *Pool
	args   []string
	proven bool // held commands have passed the trials
}

func (c *commandImages) fits(call Call) bool { return slices.Equal(call.Args, c.args) }

func (c *commandImages) prepare(context.Context, Call) error { return nil }

func (c *commandImages) started(*Instance) {}

func (c *commandImages) improvable() bool { return true }

// improve lets held commands serve if they prove to answer as new ones do.
func (c *commandImages) improve(ctx context.Context, _ trial, all []trial) {
	p := c.pool
	kept, proven := p.prove(ctx, all, p.takeIdle(), p.newClean)
	switch {
	case kept == nil:
	case proven:
		p.keep(kept)
	default:
		p.discard(kept, DiscardSpent)
	}
	switch {
	case ended(ctx) != nil: // nothing was learnt
	case p.runsFresh(): // it could not be held
	case !proven:
		p.runFresh(differs)
	default:
		p.trials, c.proven = all, true
	}
}

func (c *commandImages) seal(bool) (reason string) {
	if !c.proven {
		return "it has not been tried whether a command that is held answers as a new one"
	}
	return ""
}

func (c *commandImages) shared(p *Pool) images {
	return &commandImages{pool: p, args: c.args, proven: c.proven}
}

// clone returns a new instance of a command that is held, or one that is not and the last of its
// kind.
func (c *commandImages) clone(ctx context.Context, call Call) (*Instance, error) {
	p := c.pool
	i, err := p.program.hold(ctx, c.args, p.limit, p.cfg.Reset)
	var unheld *unheldError
	switch {
	case errors.As(err, &unheld):
		p.runFresh(unheld.reason)
		return p.begin(ctx, call)
	case err != nil:
		return nil, err
	}
	i.call = call
	p.countStart()
	p.countImage(i.image)
	return i, nil
}

func (c *commandImages) free() {}
