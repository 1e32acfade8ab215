package policy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Set is a generation of policies that are served together. Once served it is immutable. The sets
// that serve a policy own it together: what did not change goes over from one to the next.
type Set struct {
	generation   uint64 // 1 for the first, then one more for each that is made to follow another
	verification string // Loader.Verification when it was made

	mu      sync.Mutex // while loading; a served set is only read
	entries map[ID]entry

	users   atomic.Int64 // one for being served, one for each evaluation
	drained chan struct{}
	closing sync.Once
	left    atomic.Bool // nobody waits for drained any more: the last user closes
}

// newSet returns an empty set to follow before, which may be nil.
func newSet(before *Set, verification string) *Set {
	s := &Set{generation: 1, verification: verification, entries: map[ID]entry{}, drained: make(chan struct{})}
	if before != nil {
		s.generation = before.generation + 1
	}
	s.users.Store(1)
	return s
}

func (s *Set) add(id ID, e entry) {
	if e.serves != nil && e.since == 0 {
		e.since = s.generation
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[id] = e
}

// entry returns what s has for id; the zero value when that is nothing, or s is nil.
func (s *Set) entry(id ID) entry {
	if s == nil {
		return entry{}
	}
	return s.entries[id]
}

// Err joins the failures of all policies of which no version can be served, by ID; nil when all are
// fit to serve.
func (s *Set) Err() error {
	var all []error
	for _, status := range s.Statuses() {
		if !status.Serving {
			all = append(all, status.LastError)
		}
	}
	return errors.Join(all...)
}

// IDs lists the policies that are fit to serve, sorted.
func (s *Set) IDs() []ID {
	var ids []ID
	for _, status := range s.Statuses() {
		if status.Serving {
			ids = append(ids, status.ID)
		}
	}
	return ids
}

// Statuses says of each policy how it fares, sorted by ID.
func (s *Set) Statuses() []Status {
	var all []Status
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		all = append(all, s.entries[id].status(id))
	}
	return all
}

// acquire keeps the set open for one evaluation; false when it is already being closed.
func (s *Set) acquire() bool {
	for {
		users := s.users.Load()
		if users == 0 {
			return false
		}
		if s.users.CompareAndSwap(users, users+1) {
			return true
		}
	}
}

func (s *Set) release() {
	if s.users.Add(-1) > 0 {
		return
	}
	close(s.drained)
	if s.left.Load() {
		_ = s.close(context.Background()) // nobody is left who could be told
	}
}

// Close gives back what a set holds that was never served.
func (s *Set) Close(ctx context.Context) error { return s.retire(ctx) }

// retire waits for the evaluations in flight, then gives up the policies: closing one under a
// running call would end that call as if the guest had exited. When ctx ends first, the last of
// these evaluations gives them up.
func (s *Set) retire(ctx context.Context) error {
	s.release()
	select {
	case <-s.drained:
		return s.close(ctx)
	case <-ctx.Done():
	}
	s.left.Store(true)
	select {
	case <-s.drained: // meanwhile, so nobody else may have seen that
		return s.close(context.WithoutCancel(ctx))
	default:
		return ctx.Err()
	}
}

// leave is retire for a caller that does not wait.
func (s *Set) leave() {
	s.left.Store(true)
	s.release()
}

// close gives up the policies. Those that another set serves stay open.
func (s *Set) close(ctx context.Context) (err error) {
	s.closing.Do(func() {
		var failures []error
		for _, e := range s.entries {
			if e.serves != nil {
				failures = append(failures, e.serves.release(ctx))
			}
		}
		err = errors.Join(failures...)
	})
	return err
}
