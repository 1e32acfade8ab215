package sandbox

import (
	"context"
	"errors"
	"slices"

	"policy-server/runtime/wasm"
)

// Why calls have new instances where that was not asked for.
const (
	differs = "a reset instance answers otherwise than a new one"
	untried = "it has not been tried whether a command that is held answers as a new one"
)

// command is the way of WASI commands: each instance is held at its first read of stdin, with an image of its own.
type command struct{ args []string }

func (command) open(ctx context.Context, e *Engine) error { return e.compileLauncher(ctx) }

// retries are the reads at which commands are held.
func (command) retries() (list []wasm.Retry) {
	for _, module := range wasiModules {
		list = append(list, wasm.Retry{Module: module, Name: fdRead, Errno: retryErrno})
	}
	return list
}

func (c command) fits(process Process) bool { return slices.Equal(process.Args, c.args) }

func (command) oneImage() bool { return false }

func (c command) clean(ctx context.Context, p *Pool, process Process) (*Instance, error) {
	if c.fits(process) && !p.runsFresh() {
		return p.hold(ctx, process)
	}
	return p.begin(ctx, process)
}

func (command) improve(ctx context.Context, p *Pool, trials []trial) { p.tryHeld(ctx, trials) }

func (command) doubt(p *Pool) string {
	if p.proven {
		return ""
	}
	return untried
}

// hold returns a new instance of a command that is held, or one that is not and the last of its kind.
func (p *Pool) hold(ctx context.Context, process Process) (*Instance, error) {
	i, err := p.program.hold(ctx, p.limit, p.cfg.Reset)
	var unheld *unheldError
	switch {
	case errors.As(err, &unheld):
		p.runFresh(unheld.reason)
		return p.begin(ctx, process)
	case err != nil:
		return nil, err
	}
	i.surroundings.process = process
	p.countHeld(i)
	return i, nil
}

func (p *Pool) countHeld(i *Instance) {
	p.countStart()
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := i.image.content; c != nil {
		p.stats.ImageBytes, p.stats.Method = len(c.bytes), c.method
	}
}

// tryHeld lets held commands serve if they prove to answer as new ones do.
func (p *Pool) tryHeld(ctx context.Context, trials []trial) {
	all := append(slices.Clip(p.trials), trials...)
	proven := p.proves(ctx, nil, all)
	switch {
	case ended(ctx) != nil: // nothing was learnt
	case p.runsFresh(): // it could not be held
	case !proven:
		p.runFresh(differs)
	default:
		p.trials, p.proven = all, true
	}
}
