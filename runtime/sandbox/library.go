package sandbox

import (
	"context"

	"policy-server/runtime/wasm"
)

// Library is the kind of guests whose functions are called. All instances of a pool share one
// image.
type Library struct {
	// Init names the exported functions of type () -> () that prepare a new instance, in order. Of
	// each group the first that the module exports is run, none if it exports none.
	Init [][]string
}

func (l Library) startUp() [][]string { return l.Init }

func (Library) retried() []wasm.Retry { return nil }

func (Library) ready(context.Context, *Engine) error { return nil }

func (Library) images(p *Pool) images { return &libraryImages{pool: p} }

// libraryImages is how libraries come by an image: by running the init functions, and then steps.
type libraryImages struct {
	pool  *Pool
	base  *image // the state after the init functions
	image *image // what instances are reset to; nil until it is made
}

func (l *libraryImages) fits(Call) bool { return true }

// prepare runs the init functions. A guest that fails to start may do better the next time, and so
// is no reason to give up.
func (l *libraryImages) prepare(ctx context.Context, c Call) error {
	if l.image != nil {
		return nil
	}
	i, err := l.pool.beginWarmUp(ctx, c)
	if err == nil {
		i.Release()
	}
	if l.pool.runsFresh() {
		return nil
	}
	return err
}

func (l *libraryImages) started(i *Instance) {
	if l.base == nil {
		l.base = i.capture(l.pool.cfg.Reset)
		l.use(l.base)
	}
}

// use makes img what instances are reset to.
func (l *libraryImages) use(img *image) {
	l.image = img
	l.pool.countImage(img)
}

func (l *libraryImages) improvable() bool { return l.image != nil }

// improve puts an image after step in place of the present one, if it proves to be as good.
func (l *libraryImages) improve(ctx context.Context, step trial, all []trial) {
	present, next := l.image, l.after(ctx, step)
	var chosen *image
	for _, candidate := range []*image{next, present, l.base} {
		if candidate != nil && l.proves(ctx, candidate, all) {
			chosen = candidate
			break
		}
	}
	switch {
	case ended(ctx) != nil:
		chosen = present // nothing was learnt
	case chosen == nil:
		l.pool.runFresh(differs)
	default:
		l.pool.trials = all
	}
	l.use(chosen)
	for _, other := range []*image{next, present} {
		if other != chosen && other != l.base {
			other.free()
		}
	}
}

// after returns an image of an instance that has gone on from the present one to run the step, or
// nil if that is not worth keeping.
func (l *libraryImages) after(ctx context.Context, t trial) (next *image) {
	if t.want.err != nil {
		return nil
	}
	p := l.pool
	got := t.step.run(ctx, func(ctx context.Context, c Call) (*Instance, error) {
		i, err := l.clone(ctx, c)
		if err != nil {
			return nil, err
		}
		i.warmUp(p.cfg.WarmUpHost)
		i.release = func(i *Instance) {
			if i.fault == nil && i.unfit() == "" {
				next = i.capture(p.cfg.Reset)
			}
			p.discard(i, DiscardSpent)
		}
		return i, nil
	})
	if next != nil && !got.equal(t.want) {
		next.free()
		return nil
	}
	return next
}

// proves tells whether instances that are reset to img pass the trials.
func (l *libraryImages) proves(ctx context.Context, img *image, trials []trial) bool {
	kept, proven := l.pool.prove(ctx, trials, nil, func(ctx context.Context, c Call) (*Instance, error) {
		return l.pool.cloneOf(ctx, c, img)
	})
	if kept != nil {
		l.pool.discard(kept, DiscardSpent)
	}
	return proven
}

func (l *libraryImages) shared(p *Pool) images {
	shared := &libraryImages{pool: p, image: l.image.share()}
	p.countImage(shared.image)
	return shared
}

func (l *libraryImages) seal(fresh bool) (reason string) {
	base := l.base
	if l.base = nil; fresh {
		l.image.free()
		l.use(nil)
	}
	if base != l.image {
		base.free()
	}
	return ""
}

func (l *libraryImages) clone(ctx context.Context, c Call) (*Instance, error) {
	return l.pool.cloneOf(ctx, c, l.image)
}

func (l *libraryImages) free() {
	l.image.free()
	l.base.free()
	l.base, l.image = nil, nil
}
