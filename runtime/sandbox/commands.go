package sandbox

import (
	"context"
	"errors"
	"slices"
)

// Why calls have new instances where that was not asked for.
const (
	differs = "a reset instance answers otherwise than a new one"
	untried = "it has not been tried whether a command that is held answers as a new one"
)

// commands tells whether the instances are commands: each of those that serve from an image has its own, and the pool has
// none.
func (p *Pool) commands() bool { return p.program.engine.commands() }

// fits tells whether an instance that was reset can serve process.
func (p *Pool) fits(process Process) bool {
	return !p.commands() || slices.Equal(process.Args, p.program.engine.abi.Command)
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
