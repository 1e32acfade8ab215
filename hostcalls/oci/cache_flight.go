package oci

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// memo answers from memory what it was asked before. What it does not know is found out once for all who ask
// meanwhile, in a flight that belongs to none of them: each waits for as long as its own context lasts.
//
// A flight that everybody gave up may go on, so that the next one to ask finds the answer: it is up to a registry that
// is slower than the evaluations' deadline whether images can be verified at all. How many may do so at a time, and how
// long a flight may take, are bounded; others end when the last one who waits leaves.
//
// Goroutines may share a memo. Its owner closes it.
type memo[K comparable, V any] struct {
	memoConfig[V]

	mu        sync.Mutex // guards what is below, flights included; not held while anything is found out
	found     *cache[K, V]
	refused   *cache[K, error]
	flights   map[K]*flight[V]
	abandoned int // flights nobody waits for
	closed    bool
	running   sync.WaitGroup
}

type memoConfig[V any] struct {
	lifetime        time.Duration    // of values
	refusedLifetime time.Duration    // of errors that are answers
	isAnswer        func(error) bool // whether an error is an answer, which asking again would not change
	size            func(V) int      // in bytes
	limit           int64            // of all values in bytes, and of all errors
	maxAbandoned    int
	flightTime      time.Duration
	panicked        func(cause any, stack []byte) // told of mistakes of ours that some image brought to light
}

// flight is one attempt to find something out.
type flight[V any] struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{} // closed once value and err are there
	value   V
	err     error
}

var errClosed = errors.New("shutting down")

func newMemo[K comparable, V any](cfg memoConfig[V]) *memo[K, V] {
	return &memo[K, V]{
		memoConfig: cfg,
		found:      newCache[K, V](cfg.lifetime, cfg.limit),
		refused:    newCache[K, error](cfg.refusedLifetime, cfg.limit),
		flights:    map[K]*flight[V]{},
	}
}

// get returns what is known under key, or what find says. find runs under a context of its own; get returns ctx's error
// when ctx ends first.
func (m *memo[K, V]) get(ctx context.Context, key K, find func(context.Context) (V, error)) (V, error) {
	m.mu.Lock()
	value, known, err := m.recall(key)
	if known {
		m.mu.Unlock()
		return value, err
	}
	f := m.join(key, find)
	m.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		m.leave(key, f)
		return value, ctx.Err()
	}
}

// recall returns what is known without asking anybody. The caller holds mu.
func (m *memo[K, V]) recall(key K) (value V, known bool, err error) {
	if value, known = m.found.find(key); known {
		return value, true, nil
	}
	if err, known = m.refused.find(key); known {
		return value, true, err
	}
	if m.closed {
		return value, true, errClosed
	}
	return value, false, nil
}

// join returns the flight for key with one more who waits for it. The caller holds mu.
func (m *memo[K, V]) join(key K, find func(context.Context) (V, error)) *flight[V] {
	f, underway := m.flights[key]
	switch {
	case !underway:
		ctx, cancel := context.WithTimeout(context.Background(), m.flightTime)
		f = &flight[V]{cancel: cancel, done: make(chan struct{})}
		m.flights[key] = f
		m.running.Go(func() { m.fly(ctx, key, f, find) })
	case f.waiters == 0:
		m.abandoned--
	}
	f.waiters++
	return f
}

// leave takes one who waits out of f. Without anybody left, f goes on if there is a place for it.
func (m *memo[K, V]) leave(key K, f *flight[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.waiters--; f.waiters > 0 || m.flights[key] != f {
		return
	}
	if m.abandoned < m.maxAbandoned {
		m.abandoned++
		return
	}
	delete(m.flights, key) // whoever asks next must not wait for what is being cancelled
	f.cancel()
}

// fly finds the answer and keeps it before the flight ends: nobody who asks finds neither of them.
func (m *memo[K, V]) fly(ctx context.Context, key K, f *flight[V], find func(context.Context) (V, error)) {
	defer f.cancel()
	f.value, f.err = m.recovered(ctx, find)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights[key] == f {
		delete(m.flights, key)
		if f.waiters == 0 {
			m.abandoned--
		}
	}
	switch {
	case f.err == nil:
		m.found.keep(key, f.value, m.size(f.value))
	case ctx.Err() == nil && m.isAnswer(f.err): // of what was cut short nothing is known
		m.refused.keep(key, f.err, len(f.err.Error()))
	}
	close(f.done)
}

// recovered calls find. What panics here, on a goroutine that is no request's, would take the whole program down.
func (m *memo[K, V]) recovered(ctx context.Context, find func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			m.panicked(cause, debug.Stack())
			err = fmt.Errorf("internal error: %v", cause)
		}
	}()
	return find(ctx)
}

// close ends every flight and waits until they are over. What is asked afterwards and not known is an error.
func (m *memo[K, V]) close() {
	m.mu.Lock()
	m.closed = true
	for _, f := range m.flights {
		f.cancel()
	}
	m.mu.Unlock()
	m.running.Wait()
}
