package flight

import (
	"context"
	"sync"
	"time"
)

// Memo answers from memory what it was asked before, and finds out in a Group what it does not
// know. Values are kept, and those errors that are answers; a failure to find out never is.
// Goroutines may share a Memo. Its owner closes it, if flights may go on without anybody who waits.
type Memo[K comparable, V any] struct {
	cfg     MemoConfig[K, V]
	flights *Group[K, V] // calls recall and land one at a time

	mu      sync.Mutex // guards found and refused, against Forget
	found   *Cache[K, V]
	refused *Cache[K, error]
}

// MemoConfig says what a Memo keeps. Cost, Lifetime and Limit are needed.
type MemoConfig[K comparable, V any] struct {
	Lifetime        time.Duration            // of values
	RefusedLifetime time.Duration            // of errors that are answers; 0: none is kept
	IsAnswer        func(error) bool         // whether an error is an answer, which asking again would not change; nil: never
	Cost            func(key K, value V) int // of what is kept, in bytes; for an error, of the zero value and its text
	Limit           int64                    // of all values together, and of all errors

	// The following are GroupConfig's.
	FlightTime   time.Duration
	MaxAbandoned int
	Panicked     func(cause any, stack []byte) error
}

// NewMemo returns a Memo that knows nothing yet.
func NewMemo[K comparable, V any](cfg MemoConfig[K, V]) *Memo[K, V] {
	m := &Memo[K, V]{
		cfg:     cfg,
		found:   NewCache[K, V](cfg.Lifetime, cfg.Limit),
		refused: NewCache[K, error](cfg.RefusedLifetime, cfg.Limit),
	}
	m.flights = NewGroup(GroupConfig[K, V]{
		Recall: m.recall, Land: m.land, Limit: cfg.FlightTime, MaxAbandoned: cfg.MaxAbandoned, Panicked: cfg.Panicked,
	})
	return m
}

// Do returns what is known under key, or what find says. When ctx ends first, its error is
// returned; find must obey the context it is given, which has ctx's values but not its deadline.
func (m *Memo[K, V]) Do(ctx context.Context, key K, find func(context.Context) (V, error)) (V, error) {
	return m.flights.Do(ctx, key, find)
}

func (m *Memo[K, V]) recall(key K) (value V, known bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, known = m.found.Find(key); known {
		return value, true, nil
	}
	err, known = m.refused.Find(key)
	return value, known, err
}

func (m *Memo[K, V]) land(ctx context.Context, key K, value V, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.found.Keep(key, value, int64(m.cfg.Cost(key, value)))
	case ctx.Err() == nil && m.cfg.IsAnswer != nil && m.cfg.IsAnswer(err): // of what was cut short nothing is known
		var none V
		m.refused.Keep(key, err, int64(m.cfg.Cost(key, none)+len(err.Error())))
	}
}

// Forget drops what is known under key.
func (m *Memo[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.found.Forget(key)
	m.refused.Forget(key)
}

// Underway returns how many flights there are, and how many of them nobody waits for.
func (m *Memo[K, V]) Underway() (flights, abandoned int) { return m.flights.Underway() }

// Close ends every flight and waits until they are over. What is asked afterwards and not known is
// ErrClosed.
func (m *Memo[K, V]) Close() { m.flights.Close() }
