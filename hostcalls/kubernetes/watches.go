package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// maxWatches bounds how many parts of the cluster are watched at once. Which there are is partly
// for the authors of requests to say, since policies put their labels and namespaces into
// selectors.
const maxWatches = 256

var (
	errTooManyWatches = fmt.Errorf("%d different lists of Kubernetes objects are in use at once, which is the limit", maxWatches)
	errClosed         = errors.New("the connection to the cluster is closed")
)

// watches are the watches of a cluster that go on.
type watches struct {
	idle   time.Duration
	memory int             // see Config
	ctx    context.Context // of everything that runs between two lists
	stop   context.CancelFunc
	runs   sync.WaitGroup

	mu         sync.Mutex
	byIdentity map[identity]*watch
	trimmer    *time.Timer // nil when there is nothing to trim
}

func newWatches(idle time.Duration, memory int) *watches {
	ctx, stop := context.WithCancel(context.Background())
	return &watches{idle: idle, memory: memory, ctx: ctx, stop: stop, byIdentity: map[identity]*watch{}}
}

// acquire returns the watch of that identity, which is started if there is none. It goes on at
// least until it is released.
func (c *Cluster) acquire(id identity, begin func() *source) (*watch, error) {
	all := c.watches
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.ctx.Err() != nil {
		return nil, errClosed
	}
	if w, ok := all.byIdentity[id]; ok {
		w.waiting++
		return w, nil
	}
	if len(all.byIdentity) >= maxWatches && !all.evict() {
		return nil, errTooManyWatches
	}
	for all.held() > all.memory && all.evict() { // those that are waited for stay: evaluations in flight are bounded
	}
	ctx, stop := context.WithCancel(all.ctx)
	w := &watch{source: begin(), store: newStore(), stop: stop, ended: make(chan struct{}), waiting: 1}
	all.byIdentity[id] = w
	all.runs.Go(func() {
		if apierrors.IsNotFound(w.run(ctx, c.log)) {
			c.forget(w.source.kind)
		}
		all.remove(id, w)
		close(w.ended) // last, so that whoever is told and asks again begins anew
	})
	return w, nil
}

func (all *watches) release(w *watch) {
	all.mu.Lock()
	defer all.mu.Unlock()
	w.waiting--
	w.used = time.Now()
	if all.trimmer == nil {
		all.trimmer = time.AfterFunc(all.idle, all.trim)
	}
}

func (all *watches) remove(id identity, w *watch) {
	all.mu.Lock()
	defer all.mu.Unlock()
	w.stop()
	if all.byIdentity[id] == w {
		delete(all.byIdentity, id)
	}
}

// find returns the watch of that identity, nil if there is none.
func (all *watches) find(id identity) *watch {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.byIdentity[id]
}

// held returns the bytes of all objects in the stores.
func (all *watches) held() (size int) {
	for _, w := range all.byIdentity {
		size += w.store.size()
	}
	return size
}

// evict ends the watch that was used least recently, if there is one that nobody waits for.
func (all *watches) evict() bool {
	var oldest identity
	var found *watch
	for id, w := range all.byIdentity {
		if w.waiting == 0 && (found == nil || w.used.Before(found.used)) {
			oldest, found = id, w
		}
	}
	if found == nil {
		return false
	}
	found.stop()
	delete(all.byIdentity, oldest)
	return true
}

// trim ends the watches that nobody has used for too long.
func (all *watches) trim() {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.trimmer = nil; all.ctx.Err() != nil {
		return
	}
	now := time.Now()
	next := all.idle
	for id, w := range all.byIdentity {
		switch left := w.used.Add(all.idle).Sub(now); {
		case w.waiting > 0:
		case left <= 0:
			w.stop()
			delete(all.byIdentity, id)
		default:
			next = min(next, left)
		}
	}
	if len(all.byIdentity) > 0 {
		all.trimmer = time.AfterFunc(next, all.trim)
	}
}

// close ends all watches and waits for their goroutines.
func (all *watches) close() {
	all.mu.Lock()
	all.stop()
	if all.trimmer != nil {
		all.trimmer.Stop()
	}
	all.mu.Unlock()
	all.runs.Wait()
}
