package hostcalls

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"
)

// Flights finds something out once for all who ask meanwhile, each question in a flight that belongs to none of them: each
// waits for as long as its own context lasts. What is found is for its owner to keep. Goroutines may share it.
type Flights[K comparable, V any] struct {
	FlightConfig[K, V]

	mu        sync.Mutex // guards what is below, flights included; not held while anything is found out
	flights   map[K]*flight[V]
	abandoned int // flights nobody waits for
	closed    bool
	running   sync.WaitGroup
}

// FlightConfig says what becomes of flights. Recall and Land are called one at a time, and must not block.
type FlightConfig[K comparable, V any] struct {
	Recall func(key K) (value V, known bool, err error)         // what is known without asking anybody
	Land   func(ctx context.Context, key K, value V, err error) // keeps what a flight found, before whoever waits is told

	// Limit is how long a flight may take; 0: for as long as anybody waits.
	Limit time.Duration
	// MaxAbandoned is how many flights may go on that everybody gave up, so that the next one to ask finds the answer. Others
	// end when the last one who waits leaves.
	MaxAbandoned int
	// Panicked returns what those who wait are told of a panic, which costs nobody else: a flight is no request's goroutine.
	Panicked func(cause any, stack []byte) error
}

// flight is one attempt to find something out.
type flight[V any] struct {
	cancel  context.CancelFunc
	waiters int
	done    chan struct{} // closed once value and err are there
	value   V
	err     error
}

// ErrClosed is what is told to those who ask after the end.
var ErrClosed = errors.New("shutting down")

// NewFlights returns flights of which none is under way.
func NewFlights[K comparable, V any](cfg FlightConfig[K, V]) *Flights[K, V] {
	return &Flights[K, V]{FlightConfig: cfg, flights: map[K]*flight[V]{}}
}

// Do returns what is known under key, or what find says. When ctx ends first, its error is returned; find must obey the
// context it is given, which has ctx's values but not its deadline.
func (s *Flights[K, V]) Do(ctx context.Context, key K, find func(context.Context) (V, error)) (V, error) {
	s.mu.Lock()
	value, known, err := s.Recall(key)
	if !known && s.closed {
		known, err = true, ErrClosed
	}
	if known {
		s.mu.Unlock()
		return value, err
	}
	f := s.join(ctx, key, find)
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		s.leave(key, f)
		return value, ctx.Err()
	}
}

// join returns the flight for key with one more who waits for it. The caller holds mu.
func (s *Flights[K, V]) join(ctx context.Context, key K, find func(context.Context) (V, error)) *flight[V] {
	f, underway := s.flights[key]
	switch {
	case !underway:
		ctx, cancel := s.detach(ctx)
		f = &flight[V]{cancel: cancel, done: make(chan struct{})}
		s.flights[key] = f
		s.running.Go(func() { s.fly(ctx, key, f, find) })
	case f.waiters == 0:
		s.abandoned--
	}
	f.waiters++
	return f
}

func (s *Flights[K, V]) detach(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if s.Limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, s.Limit)
}

// leave takes one who waits out of f. Without anybody left, f goes on if there is a place for it.
func (s *Flights[K, V]) leave(key K, f *flight[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiters--; f.waiters > 0 || s.flights[key] != f {
		return
	}
	if s.abandoned < s.MaxAbandoned {
		s.abandoned++
		return
	}
	delete(s.flights, key) // whoever asks next must not wait for what is being cancelled
	f.cancel()
}

// fly finds the answer and has it kept before the flight ends: nobody who asks finds neither of them.
func (s *Flights[K, V]) fly(ctx context.Context, key K, f *flight[V], find func(context.Context) (V, error)) {
	defer f.cancel()
	f.value, f.err = s.recovered(ctx, find)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[key] == f {
		delete(s.flights, key)
		if f.waiters == 0 {
			s.abandoned--
		}
	}
	s.Land(ctx, key, f.value, f.err)
	close(f.done)
}

func (s *Flights[K, V]) recovered(ctx context.Context, find func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = s.Panicked(cause, debug.Stack())
		}
	}()
	return find(ctx)
}

// Underway returns how many flights there are, and how many of them nobody waits for.
func (s *Flights[K, V]) Underway() (flights, abandoned int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights), s.abandoned
}

// Close ends every flight and waits until they are over. What is asked afterwards and not known is ErrClosed.
func (s *Flights[K, V]) Close() {
	s.mu.Lock()
	s.closed = true
	for _, f := range s.flights {
		f.cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
}
