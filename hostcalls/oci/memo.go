package oci

import (
	"context"
	"fmt"
	"time"

	"policy-server/hostcalls"
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
	flights *hostcalls.Flights[K, V] // guards found and refused
	found   *cache[K, V]
	refused *cache[K, error]
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

func newMemo[K comparable, V any](cfg memoConfig[V]) *memo[K, V] {
	m := &memo[K, V]{
		memoConfig: cfg,
		found:      newCache[K, V](cfg.lifetime, cfg.limit),
		refused:    newCache[K, error](cfg.refusedLifetime, cfg.limit),
	}
	m.flights = hostcalls.NewFlights(hostcalls.FlightConfig[K, V]{
		Recall: m.recall, Land: m.land, Limit: cfg.flightTime, MaxAbandoned: cfg.maxAbandoned,
		Panicked: func(cause any, stack []byte) error {
			cfg.panicked(cause, stack)
			return fmt.Errorf("internal error: %v", cause)
		},
	})
	return m
}

// get returns what is known under key, or what find says. find runs under a context of its own; get returns ctx's error
// when ctx ends first.
func (m *memo[K, V]) get(ctx context.Context, key K, find func(context.Context) (V, error)) (V, error) {
	return m.flights.Do(ctx, key, find)
}

func (m *memo[K, V]) recall(key K) (value V, known bool, err error) {
	if value, known = m.found.find(key); known {
		return value, true, nil
	}
	err, known = m.refused.find(key)
	return value, known, err
}

func (m *memo[K, V]) land(ctx context.Context, key K, value V, err error) {
	switch {
	case err == nil:
		m.found.keep(key, value, m.size(value))
	case ctx.Err() == nil && m.isAnswer(err): // of what was cut short nothing is known
		m.refused.keep(key, err, len(err.Error()))
	}
}

// close ends every flight and waits until they are over. What is asked afterwards and not known is an error.
func (m *memo[K, V]) close() { m.flights.Close() }
