package hostcalls

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Memo remembers the successes of an act for a while, and lets whoever asks the same question meanwhile wait for the one
// answer. Failures are not remembered. It is safe for concurrent use.
type Memo[V any] struct {
	ttl   time.Duration
	limit int
	size  func(V) int

	mu      sync.Mutex
	flights map[string]*flight[V]
	answers map[string]*answer[V]
	oldest  []*answer[V] // by age; forgotten ones too, until their time comes
	held    int          // sum of the sizes of answers
}

// answer is a success that is remembered.
type answer[V any] struct {
	key     string
	value   V
	expires time.Time
}

// flight is an act in progress.
type flight[V any] struct {
	done    chan struct{} // closed when value and err are there
	value   V
	err     error
	waiting int // whoever still wants the answer
	cancel  context.CancelFunc
}

// NewMemo returns a memo that keeps an answer for ttl, and answers whose sizes add up to at most limit: beyond it the
// oldest go.
func NewMemo[V any](ttl time.Duration, limit int, size func(V) int) *Memo[V] {
	return &Memo[V]{ttl: ttl, limit: limit, size: size, flights: map[string]*flight[V]{}, answers: map[string]*answer[V]{}}
}

// Do returns the answer remembered for key, else that of act, which runs once however many ask. When ctx ends first, its
// error is returned; act goes on for as long as anybody waits, so it must obey the context it is given, which has ctx's
// values but not its deadline.
func (m *Memo[V]) Do(ctx context.Context, key string, act func(ctx context.Context) (V, error)) (V, error) {
	m.mu.Lock()
	if a, ok := m.answers[key]; ok && time.Now().Before(a.expires) {
		m.mu.Unlock()
		return a.value, nil
	}
	f, ok := m.flights[key]
	if !ok {
		f = m.start(ctx, key, act)
	}
	f.waiting++
	m.mu.Unlock()

	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		m.leave(key, f)
		var none V
		return none, ctx.Err()
	}
}

// start begins a flight. The goroutine ends when act does, at the latest after the last one who waits for it has left.
func (m *Memo[V]) start(ctx context.Context, key string, act func(ctx context.Context) (V, error)) *flight[V] {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight[V]{done: make(chan struct{}), cancel: cancel}
	m.flights[key] = f
	go func() {
		defer cancel()
		f.value, f.err = guarded(ctx, act)
		m.land(key, f)
		close(f.done)
	}()
	return f
}

// guarded lets a panic of act cost those who wait for it, and nobody else: it does not run where host calls are guarded.
func guarded[V any](ctx context.Context, act func(ctx context.Context) (V, error)) (value V, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("host call panicked: %v", reason)
		}
	}()
	return act(ctx)
}

func (m *Memo[V]) land(key string, f *flight[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.flights[key] == f {
		delete(m.flights, key)
	}
	if f.err == nil {
		m.keep(&answer[V]{key, f.value, time.Now().Add(m.ttl)})
	}
}

func (m *Memo[V]) leave(key string, f *flight[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.waiting--; f.waiting > 0 {
		return
	}
	f.cancel()
	if m.flights[key] == f {
		delete(m.flights, key) // whoever asks next must not be told that somebody else gave up
	}
}

// keep remembers a, and drops what is too old or too much.
func (m *Memo[V]) keep(a *answer[V]) {
	m.drop(m.answers[a.key])
	m.answers[a.key] = a
	m.held += m.size(a.value)
	m.oldest = append(m.oldest, a)
	for now := time.Now(); len(m.oldest) > 0 && (m.held > m.limit || !now.Before(m.oldest[0].expires)); m.oldest = m.oldest[1:] {
		m.drop(m.oldest[0])
		m.oldest[0] = nil
	}
}

// drop forgets a if it is what is remembered for its key.
func (m *Memo[V]) drop(a *answer[V]) {
	if a != nil && m.answers[a.key] == a {
		delete(m.answers, a.key)
		m.held -= m.size(a.value)
	}
}

// Forget drops the answer for key.
func (m *Memo[V]) Forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(m.answers[key])
}
