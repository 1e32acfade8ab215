package sandbox

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// Starter returns a clean instance for one call, which the caller releases. [Program.Start] and
// [Pool.Take] are some.
type Starter func(ctx context.Context, c Call) (*Instance, error)

// Step runs a guest once, in an instance that it has from start.
type Step func(ctx context.Context, start Starter) (Answer, error)

// ErrServing is returned when it is too late to warm up.
var ErrServing = errors.New("guest has served a call already")

// differs is why calls have new instances where that was not asked for.
const differs = "a reset instance answers otherwise than a new one"

// outcome is what came of a step. What was printed does not count: guests print times.
type outcome struct {
	answer Answer
	err    error
}

func (s Step) run(ctx context.Context, start Starter) outcome {
	answer, err := s(ctx, start)
	return outcome{answer, err}
}

func (o outcome) equal(other outcome) bool {
	if o.err != nil || other.err != nil {
		return o.err != nil && other.err != nil && o.err.Error() == other.err.Error()
	}
	return bytes.Equal(o.answer.Payload, other.answer.Payload)
}

// trial is a step with what comes of it in a new instance.
type trial struct {
	step Step
	want outcome
}

// WarmUp runs a step that later calls need not repeat: what the guest prepares in it becomes part
// of the image. It returns what came of the step in a new instance. Host calls in it are served by
// the config's WarmUpHost.
//
// The image must not change what a guest answers. So the step is kept only if the guest answered,
// no host call in it went unserved, whose failure the guest might remember, and instances that are
// reset to the new image pass a trial: they come to the same as new ones in this step, in its
// probes and in all before, twice and in turn. Probes are steps that show whether the guest still
// looks at what it is given; what they leave behind is never kept.
//
// When the trial fails the image stays as it was, or goes back to what it was before any step. When
// that does not pass either, each call has a new instance from then on, and [Stats] says why.
//
// Of a command nothing is kept, but without a trial passed it does not serve from an image at all:
// its state, unlike that of a library after its init functions, is one no author had in mind to be
// used twice.
//
// It must come before the first [Pool.Take] and else fails with [ErrServing]. When ctx ends first
// the step is not kept.
func (p *Pool) WarmUp(ctx context.Context, step Step, probes ...Step) (Answer, error) {
	if !p.enter() {
		return Answer{}, ErrClosed
	}
	defer p.leave()
	if err := p.lockMaking(ctx); err != nil {
		return Answer{}, err
	}
	defer p.unlockMaking()
	if p.isServing() {
		return Answer{}, ErrServing
	}
	trials, worth := p.tryNew(ctx, append([]Step{step}, probes...))
	if worth {
		p.images.improve(ctx, trials[0], append(slices.Clip(p.trials), trials...))
	}
	return trials[0].want.answer, trials[0].want.err
}

// tryNew finds out what comes of steps in new instances. It stops, and reports false, when there is
// nothing to improve or no time: then the first step, at least, was run.
func (p *Pool) tryNew(ctx context.Context, steps []Step) (trials []trial, worth bool) {
	for _, step := range steps {
		fits := false
		start := func(ctx context.Context, c Call) (*Instance, error) {
			fits = p.images.fits(c)
			return p.beginWarmUp(ctx, c)
		}
		trials = append(trials, trial{step, step.run(ctx, start)})
		if !fits || p.runsFresh() || !p.images.improvable() || ended(ctx) != nil {
			return trials, false
		}
	}
	return trials, true
}

// beginWarmUp returns a new instance for a step.
func (p *Pool) beginWarmUp(ctx context.Context, c Call) (*Instance, error) {
	i := p.program.newInstance(c, p.program.engine.newHeap(), p.limit)
	i.warmUp(p.cfg.WarmUpHost)
	err := i.start(ctx)
	if cause := i.unfit(); cause != "" {
		p.runFresh(cause + " while starting")
	}
	if err != nil {
		return nil, err
	}
	p.countStart()
	i.release = func(i *Instance) { p.discard(i, DiscardSpent) }
	if !p.runsFresh() {
		p.images.started(i)
	}
	return i, nil
}

// prove tells whether an instance that is reset after each step comes to the same as new ones did,
// also when it goes through all steps a second time. The first such instance is kept, or from clone
// if that is nil. It returns the one there is in the end, nil if it had to be given up; the caller
// keeps or discards it.
func (p *Pool) prove(
	ctx context.Context, trials []trial, kept *Instance, clone Starter,
) (last *Instance, proven bool) {
	start := func(ctx context.Context, c Call) (*Instance, error) {
		i := kept
		if kept = nil; i == nil {
			var err error
			if i, err = clone(ctx, c); err != nil {
				return nil, err
			}
		}
		i.call = c
		i.warmUp(p.cfg.WarmUpHost)
		i.release = func(i *Instance) {
			if cause := i.backToImage(); cause != "" {
				p.discard(i, cause)
				return
			}
			kept = i
		}
		return i, nil
	}
	for range 2 {
		for _, t := range trials {
			if !t.step.run(ctx, start).equal(t.want) {
				return kept, false
			}
		}
	}
	return kept, true
}

// warmUp makes i serve host calls by host, as long as it is not reset.
func (i *Instance) warmUp(host HostCall) { i.warmingUp, i.warmUpHost = true, host }

// unfit says what i has done, warming up, that an image cannot hold, or returns "".
func (i *Instance) unfit() string {
	switch {
	case i.refused:
		return "it calls its host"
	case i.descriptors:
		return "it may change its file descriptors"
	case i.memory != nil && i.memory.Size() > i.memory.Definition().Min()*PageSize && i.atMaximum():
		return "it grows its memory to the maximum"
	}
	return ""
}

func (p *Pool) runsFresh() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh
}

func (p *Pool) isServing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serving
}

// runFresh makes ModeFresh the mode in force.
func (p *Pool) runFresh(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh, p.reason = true, reason
}
