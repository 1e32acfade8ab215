// Package flight finds something out once for all who ask at the same time (Group), keeps answers
// for a time and up to a number of bytes (Cache), and does both (Memo). It knows nothing of what is
// asked.
package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Group finds something out once for all who ask meanwhile, each question in a flight that belongs
// to none of them: each caller waits for as long as its own context lasts. Callers share the value.
// Goroutines may share a Group.
type Group[K comparable, V any] struct {
	GroupConfig[K, V]

	mu        sync.Mutex // guards what is below, flights included; not held while anything is found out
	flights   map[K]*flight[V]
	abandoned int // flights nobody waits for
	closed    bool
	running   sync.WaitGroup
}

// GroupConfig says what becomes of flights. The zero value works. Recall and Land are called one at
// a time, and must not block.
type GroupConfig[K comparable, V any] struct {
	// Recall says what is known without asking anybody; nil: nothing.
	Recall func(key K) (value V, known bool, err error)
	// Land keeps what a flight found, before those who wait are told; nil: nothing is kept.
	Land func(ctx context.Context, key K, value V, err error)

	// Limit is how long a flight may take; 0: for as long as anybody waits.
	Limit time.Duration
	// MaxAbandoned is how many flights may go on that everybody gave up, so that the next one to
	// ask finds the answer. Others end when the last one who waits leaves.
	MaxAbandoned int
	// Panicked returns what those who wait are told of a panic, which costs no other question: a
	// flight is no request's goroutine. nil: an error with the cause.
	Panicked func(cause any, stack []byte) error
}

// flight is one attempt to find something out.
type flight[V any] struct {
	cancel  context.CancelFunc
	waiters int
	callers int           // who ever joined
	done    chan struct{} // closed once value and err are there
	value   V
	err     error
}

// ErrClosed is what callers are told who ask after the end.
var ErrClosed = errors.New("shutting down")

// NewGroup returns a Group without any flight. It needs closing only if flights must not outlive
// its owner.
func NewGroup[K comparable, V any](cfg GroupConfig[K, V]) *Group[K, V] {
	if cfg.Recall == nil {
		cfg.Recall = func(K) (value V, known bool, err error) { return value, false, nil }
	}
	if cfg.Land == nil {
		cfg.Land = func(context.Context, K, V, error) {}
	}
	if cfg.Panicked == nil {
		cfg.Panicked = func(cause any, _ []byte) error { return fmt.Errorf("internal error: %v", cause) }
	}
	return &Group[K, V]{GroupConfig: cfg, flights: map[K]*flight[V]{}}
}

// Do returns what is known under key, or what find says. When ctx ends first, its error is
// returned; find must obey the context it is given, which has ctx's values but not its deadline.
func (g *Group[K, V]) Do(ctx context.Context, key K, find func(context.Context) (V, error)) (V, error) {
	value, _, err := g.DoShared(ctx, key, find)
	return value, err
}

// DoShared is Do for values that callers may write to: shared says whether another caller has the
// same one.
func (g *Group[K, V]) DoShared(
	ctx context.Context, key K, find func(context.Context) (V, error),
) (value V, shared bool, err error) {
	g.mu.Lock()
	var known bool
	value, known, err = g.Recall(key)
	if !known && g.closed {
		known, err = true, ErrClosed
	}
	if known {
		g.mu.Unlock()
		return value, true, err
	}
	f := g.join(ctx, key, find)
	g.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.callers > 1, f.err
	case <-ctx.Done():
		g.leave(key, f)
		return value, false, ctx.Err()
	}
}

// join returns the flight for key with one more who waits for it. The caller holds mu.
func (g *Group[K, V]) join(ctx context.Context, key K, find func(context.Context) (V, error)) *flight[V] {
	f, underway := g.flights[key]
	switch {
	case !underway:
		ctx, cancel := g.detach(ctx)
		f = &flight[V]{cancel: cancel, done: make(chan struct{})}
		g.flights[key] = f
		g.running.Go(func() { g.fly(ctx, key, f, find) })
	case f.waiters == 0:
		g.abandoned--
	}
	f.waiters++
	f.callers++
	return f
}

func (g *Group[K, V]) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if g.Limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, g.Limit)
}

// leave takes one who waits out of f. Without anybody left, f goes on if there is a place for it.
func (g *Group[K, V]) leave(key K, f *flight[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.waiters--; f.waiters > 0 || g.flights[key] != f {
		return
	}
	if g.abandoned < g.MaxAbandoned {
		g.abandoned++
		return
	}
	delete(g.flights, key) // whoever asks next must not wait for what is being cancelled
	f.cancel()
}

// fly finds the answer and has it kept before the flight ends: each caller finds the one or the
// other.
func (g *Group[K, V]) fly(ctx context.Context, key K, f *flight[V], find func(context.Context) (V, error)) {
	defer f.cancel()
	f.value, f.err = g.recovered(ctx, find)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.flights[key] == f {
		delete(g.flights, key)
		if f.waiters == 0 {
			g.abandoned--
		}
	}
	g.Land(ctx, key, f.value, f.err)
	close(f.done)
}

func (g *Group[K, V]) recovered(ctx context.Context, find func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = g.Panicked(cause, debug.Stack())
		}
	}()
	return find(ctx)
}

// Underway returns how many flights there are, and how many of them nobody waits for.
func (g *Group[K, V]) Underway() (flights, abandoned int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.flights), g.abandoned
}

// Close ends every flight and waits until they are over. What is asked afterwards and not known is
// ErrClosed.
func (g *Group[K, V]) Close() {
	g.mu.Lock()
	g.closed = true
	for _, f := range g.flights {
		f.cancel()
	}
	g.mu.Unlock()
	g.running.Wait()
}
