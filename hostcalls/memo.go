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

	flights *Flights[string, V]

	mu      sync.Mutex // guards what is below
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

// NewMemo returns a memo that keeps an answer for ttl, and answers whose sizes and keys add up to at most limit: beyond it
// the oldest go.
func NewMemo[V any](ttl time.Duration, limit int, size func(V) int) *Memo[V] {
	m := &Memo[V]{ttl: ttl, limit: limit, size: size, answers: map[string]*list.Element{}, byAge: list.New()}
	m.flights = NewFlights(FlightConfig[string, V]{Recall: m.recall, Land: m.land, Panicked: panicked})
	return m
}

func panicked(cause any, _ []byte) error { return fmt.Errorf("host call panicked: %v", cause) }

// Do returns the answer remembered for key, else that of act, which runs once however many ask. When ctx ends first, its
// error is returned; act goes on for as long as anybody waits, so it must obey the context it is given, which has ctx's
// values but not its deadline.
func (m *Memo[V]) Do(ctx context.Context, key string, act func(ctx context.Context) (V, error)) (V, error) {
	return m.flights.Do(ctx, key, act)
}

func (m *Memo[V]) recall(key string) (value V, known bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.remembered(key); ok && time.Now().Before(a.expires) {
		return a.value, true, nil
	}
	return value, false, nil
}

func (m *Memo[V]) land(_ context.Context, key string, value V, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.keep(&answer[V]{key, value, m.size(value) + len(key), time.Now().Add(m.ttl)})
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
