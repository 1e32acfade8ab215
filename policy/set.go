package policy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Set is a generation of policies that are served together. Once served it is immutable.
type Set struct {
	mu       sync.Mutex // while loading; a served set is only read
	policies map[ID]*Policy
	failures map[ID]*LoadError
	modules  []*module

	users   atomic.Int64 // one for being served, one for each evaluation
	drained chan struct{}
}

func newSet() *Set {
	s := &Set{policies: map[ID]*Policy{}, failures: map[ID]*LoadError{}, drained: make(chan struct{})}
	s.users.Store(1)
	return s
}

// keep makes the set the owner of a module that was compiled for it.
func (s *Set) keep(m *module, err error) (*module, error) {
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.modules = append(s.modules, m)
	}
	return m, err
}

func (s *Set) add(def Definition, p *Policy, failure *LoadError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failure != nil {
		s.failures[def.ID] = failure
		return
	}
	s.policies[def.ID] = p
}

// Err joins the failures of all policies that could not be loaded, by ID; nil when all are fit to serve.
func (s *Set) Err() error {
	var all []error
	for _, id := range slices.Sorted(maps.Keys(s.failures)) {
		all = append(all, s.failures[id])
	}
	return errors.Join(all...)
}

// IDs lists the policies that are fit to serve, sorted.
func (s *Set) IDs() []ID { return slices.Sorted(maps.Keys(s.policies)) }

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
	if s.users.Add(-1) == 0 {
		close(s.drained)
	}
}

// Close gives back what a set holds that was never served.
func (s *Set) Close(ctx context.Context) error { return s.retire(ctx) }

// retire waits for the evaluations in flight, then closes the modules: closing one under a running call would end that
// call as if the guest had exited.
func (s *Set) retire(ctx context.Context) error {
	s.release()
	select {
	case <-s.drained:
	case <-ctx.Done():
		return ctx.Err()
	}
	var failures []error
	for _, p := range s.policies {
		failures = append(failures, p.guest.Close(ctx))
	}
	for _, m := range s.modules {
		failures = append(failures, m.compiled.Close(ctx))
	}
	return errors.Join(failures...)
}
