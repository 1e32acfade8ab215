package kubernetes

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// watch keeps a store equal to a part of the cluster, from the first list that asks for it until
// nobody has for a while.
type watch struct {
	source *source
	store  *store
	stop   context.CancelFunc
	ended  chan struct{} // closed when run has; err says why it gave up

	// Guarded by watches.mu:
	waiting int       // lists that are about to read the store
	used    time.Time // when the last one did

	mu  sync.Mutex
	err error // of the last attempt; nil once that one got on
}

// How long a watch that failed waits before it tries again. What the API server itself asks for,
// client-go obeys.
const (
	firstDelay = 800 * time.Millisecond
	lastDelay  = 30 * time.Second
	settled    = time.Minute // a watch that ran for so long begins again with the first delay
)

// run lists and watches until ctx ends, or the API server says that it will never do: that is the
// error.
func (w *watch) run(ctx context.Context, log *zap.Logger) error {
	ctx = klog.NewContext(ctx, logr.Discard()) // what client-go would log is told below
	reflector := cache.NewReflectorWithOptions(w.source.listWatch(), &object{}, w.store, cache.ReflectorOptions{
		Name: "hostcalls", TypeDescription: w.source.kind.String(),
	})
	for delay := firstDelay; ; delay = min(2*delay, lastDelay) {
		began := time.Now()
		err := reflector.ListAndWatchWithContext(ctx)
		if ctx.Err() != nil {
			return nil
		}
		err = w.note(err)
		if err != nil {
			log.Warn("cannot list or watch Kubernetes objects", zap.Stringer("resource", w.source.kind),
				zap.String("namespace", w.source.namespace), zap.Error(err))
		}
		if final(err) {
			return err
		}
		if time.Since(began) > settled {
			delay = firstDelay
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay/2 + rand.N(delay)): // servers that restart must not be met by everybody at once
		}
	}
}

// note remembers why an attempt failed, in the API server's own words where there are any.
func (w *watch) note(err error) error {
	var status *apierrors.StatusError
	if errors.As(err, &status) {
		err = status
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	return err
}

func (w *watch) lastError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// final reports whether asking again is no use: a selector the API server does not understand, a
// kind it does not serve, a permission it does not give.
func final(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	switch code := status.Status().Code; code {
	case http.StatusRequestTimeout, http.StatusGone, http.StatusTooManyRequests:
		return false
	default:
		return code >= 400 && code < 500
	}
}
