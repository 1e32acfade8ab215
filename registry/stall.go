package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// DefaultStallTimeout is how long a server may keep silent. There is no limit on a whole download:
// a large module over a slow line takes as long as it takes, while a dead line carries nothing at
// all.
const DefaultStallTimeout = 30 * time.Second

// leastProgress is what a server must send within each stall timeout, unless its answer ends. Byte
// by byte, a manifest could last for years, and a module for hours that comes in kilobytes; the
// slowest of lines that a cluster is on carry more than this, 140 kbit/s.
const leastProgress = 512 << 10

// StalledError reports a server that took nothing for a whole stall timeout, or sent nothing or
// next to nothing.
type StalledError struct {
	Host  string
	After time.Duration
}

func (e *StalledError) Error() string {
	return fmt.Sprintf("%q made no progress for %s", e.Host, e.After)
}

// Hint says what the operator can look at.
func (e *StalledError) Hint() string {
	return fmt.Sprintf("check that %q works and that no firewall or proxy on the way drops its answers", e.Host)
}

// stallGuard gives up a request on which nothing moves: no connection, no piece of its body taken,
// no header, or less of the answer than leastProgress. The clock runs only while somebody waits for
// the server, so a reader may take its time.
type stallGuard struct {
	next    http.RoundTripper
	timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (g *stallGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{ctx: ctx, cancel: cancel, timeout: g.timeout}
	w.timer = time.AfterFunc(g.timeout, func() { cancel(&StalledError{Host: req.URL.Host, After: g.timeout}) })
	resp, err := g.next.RoundTrip(w.over(req))
	w.timer.Stop()
	if err != nil {
		err = w.cause(err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &watchedAnswer{ReadCloser: resp.Body, watch: w, left: w.timeout}
	return resp, nil
}

// watch cancels one request when its timer goes off.
type watch struct {
	ctx     context.Context // of that request; it ends with its answer's body
	cancel  context.CancelCauseFunc
	timeout time.Duration
	timer   *time.Timer
}

// cause returns why the request ended, which its error may only call canceled.
func (w *watch) cause(err error) error {
	var stalled *StalledError
	if err != nil && errors.As(context.Cause(w.ctx), &stalled) {
		return stalled
	}
	return err
}

// over returns req under the watch's eyes, in each copy of its body as well.
func (w *watch) over(req *http.Request) *http.Request {
	watched := req.WithContext(w.ctx)
	if req.Body == nil || req.Body == http.NoBody {
		return watched
	}
	watched.Body = &watchedBody{ReadCloser: req.Body, watch: w}
	if req.GetBody != nil {
		watched.GetBody = func() (io.ReadCloser, error) {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			return &watchedBody{ReadCloser: body, watch: w}, nil
		}
	}
	return watched
}

// watchedBody starts the time anew whenever the connection takes a piece of the request.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.timeout)
	return b.ReadCloser.Read(p)
}

// watchedAnswer has the time that reads take come off what is left of it, and gives it back for
// what they bring: all of it for leastProgress bytes. So silence ends an answer, and so does a
// server that keeps sending less.
type watchedAnswer struct {
	io.ReadCloser
	watch *watch
	left  time.Duration
}

func (b *watchedAnswer) Read(p []byte) (int, error) {
	began := time.Now()
	b.watch.timer.Reset(b.left)
	defer b.watch.timer.Stop()
	n, err := b.ReadCloser.Read(p)
	earned := time.Duration(float64(b.watch.timeout) * float64(n) / leastProgress)
	b.left = min(b.left-time.Since(began)+earned, b.watch.timeout)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.watch.cause(err)
	}
	return n, err
}

func (b *watchedAnswer) Close() error {
	defer b.watch.cancel(nil)
	return b.ReadCloser.Close()
}
