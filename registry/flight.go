package registry

import (
	"bytes"
	"context"
	"errors"
	"sync"
)

// flights lets callers that want the same module at the same time share one download.
type flights struct {
	mu         sync.Mutex
	inProgress map[string]*flight
}

type flight struct {
	landed    chan struct{}
	waiting   int // callers besides the one who fetches; guarded by flights.mu
	content   []byte
	err       error
	abandoned bool // by a caller whose context ended: that says nothing about the module
}

// do returns what fetch returns, for this caller or for another one with the same key who is at it already. Each caller
// owns its content. Waiting obeys ctx; when the one who fetches gives up, one who waits takes over.
func (f *flights) do(ctx context.Context, key string, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	for {
		found, mine := f.join(key)
		if mine {
			return f.fly(ctx, key, found, fetch)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-found.landed:
		}
		if !found.abandoned {
			return bytes.Clone(found.content), found.err
		}
	}
}

// join returns the flight in progress, or a new one which is the caller's to fly.
func (f *flights) join(key string) (found *flight, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found = f.inProgress[key]; found != nil {
		found.waiting++
		return found, false
	}
	if f.inProgress == nil {
		f.inProgress = map[string]*flight{}
	}
	found = &flight{landed: make(chan struct{}), err: errors.New("the download was broken off")}
	f.inProgress[key] = found
	return found, true
}

func (f *flights) fly(ctx context.Context, key string, own *flight, fetch func(context.Context) ([]byte, error)) (content []byte, err error) {
	defer func() {
		if f.leave(key) > 0 {
			content = bytes.Clone(content) // the others copy from own
		}
		close(own.landed)
	}()
	own.content, own.err = fetch(ctx)
	own.abandoned = own.err != nil && ctx.Err() != nil
	return own.content, own.err
}

// leave ends the flight, so that nobody joins it any more, and returns how many wait for it.
func (f *flights) leave(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiting := f.inProgress[key].waiting
	delete(f.inProgress, key)
	return waiting
}
