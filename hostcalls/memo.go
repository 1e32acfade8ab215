package hostcalls

import (
	"container/list"
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
	answers map[string]*list.Element
	byAge   *list.List // of *answer[V], the oldest in front
	held    int        // sum of the sizes of answers
}

// answer is a success that is remembered.
type answer[V any] struct {
	key     string
	value   V
	size    int
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

// NewMemo returns a memo that keeps an answer for ttl, and answers whose sizes and keys add up to at most limit: beyond it
// the oldest go.
func NewMemo[V any](ttl time.Duration, limit int, size func(V) int) *Memo[V] {
	return &Memo[V]{ttl: ttl, limit: limit, size: size, flights: map[string]*flight[V]{}, answers: map[string]*list.Element{}, byAge: list.New()}
}

// Do returns the answer remembered for key, else that of act, which runs once however many ask. When ctx ends first, its
// error is returned; act goes on for as long as anybody waits, so it must obey the context it is given, which has ctx's
// values but not its deadline.
func (m *Memo[V]) Do(ctx context.Context, key string, act func(ctx context.Context) (V, error)) (V, error) {
	m.mu.Lock()
	if a, ok := m.remembered(key); ok && time.Now().Before(a.expires) {
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
		m.keep(&answer[V]{key, f.value, m.size(f.value) + len(key), time.Now().Add(m.ttl)})
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

func (m *Memo[V]) remembered(key string) (*answer[V], bool) {
	element, ok := m.answers[key]
	if !ok {
		return nil, false
	}
	return element.Value.(*answer[V]), true
}

// keep remembers a, and drops what is too old or too much.
func (m *Memo[V]) keep(a *answer[V]) {
	m.drop(a.key)
	m.answers[a.key] = m.byAge.PushBack(a)
	m.held += a.size
	for now := time.Now(); m.byAge.Len() > 0; {
		oldest := m.byAge.Front().Value.(*answer[V])
		if m.held <= m.limit && now.Before(oldest.expires) {
			return
		}
		m.drop(oldest.key)
	}
}

// drop forgets the answer for key, if there is one.
func (m *Memo[V]) drop(key string) {
	if a, ok := m.remembered(key); ok {
		m.byAge.Remove(m.answers[key])
		delete(m.answers, key)
		m.held -= a.size
	}
}

// Forget drops the answer for key.
func (m *Memo[V]) Forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
}
