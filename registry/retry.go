package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// Retries says how often, and after what pauses, a request is sent again that failed for a reason
// that may pass. The zero value has the defaults.
type Retries struct {
	Attempts   int           // all in all; zero: DefaultAttempts, 1: nothing is sent again
	FirstPause time.Duration // doubles from pause to pause, up to longestPause; zero: DefaultFirstPause
}

// The pauses of the defaults add up to three seconds: a registry that restarts behind a load
// balancer is back by then, and a mistyped host is reported while the operator still looks.
const (
	DefaultAttempts   = 5
	DefaultFirstPause = 200 * time.Millisecond
)

// longestPause bounds a pause. A server that asks for a longer one is not asked again: Docker Hub's
// quota renews after hours, in which no operator wants a start to hang, and asking sooner than it
// says is in vain.
const longestPause = 30 * time.Second

func (r Retries) attempts() int {
	if r.Attempts == 0 {
		return DefaultAttempts
	}
	return r.Attempts
}

// pause waits between a failed attempt, the first being 1, and the next: as long as asked, or
// longer from attempt to attempt if the server names no time. It returns false when there shall be
// no next attempt: there were enough, the server wants too long a pause, or ctx ends sooner.
func (r Retries) pause(ctx context.Context, attempt int, asked time.Duration) bool {
	pause := r.length(attempt, asked)
	if deadline, ok := ctx.Deadline(); attempt >= r.attempts() || pause > longestPause || (ok && time.Until(deadline) <= pause) {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (r Retries) length(attempt int, asked time.Duration) time.Duration {
	if asked > 0 {
		return asked
	}
	pause := r.FirstPause
	if pause == 0 {
		pause = DefaultFirstPause
	}
	for range attempt - 1 {
		pause = min(2*pause, longestPause)
	}
	// Up to half of it is left to chance: many servers that lost one registry must not come back as
	// one.
	return pause - rand.N(pause/2+1)
}

// retrying sends a request again when no connection came about or broke, and when the server says
// that it is in trouble (5xx) or that there were too many requests (429). Other answers are final.
// Methods other than GET and HEAD may have done their work before the trouble: they are sent again
// only when the server says that it did not take them.
type retrying struct {
	next    http.RoundTripper
	retries Retries
}

// RoundTrip implements http.RoundTripper.
func (r *retrying) RoundTrip(req *http.Request) (*http.Response, error) {
	if !replayable(req) {
		return r.next.RoundTrip(req)
	}
	if req.Body != nil {
		defer req.Body.Close() // the attempts read copies
	}
	for attempt := 1; ; attempt++ {
		again, err := rewind(req, req.URL.Scheme)
		if err != nil {
			return nil, err
		}
		resp, err := r.next.RoundTrip(again)
		if !repeatable(req, resp, err) {
			return resp, err
		}
		next := r.retries.pause(req.Context(), attempt, retryAfter(resp, time.Now()))
		if !next && req.Context().Err() == nil {
			return resp, err
		}
		if resp != nil {
			// What little an error says is read, so that its connection can be used again.
			_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
			_ = resp.Body.Close()
		}
		if !next {
			return nil, req.Context().Err()
		}
	}
}

func repeatable(req *http.Request, resp *http.Response, err error) bool {
	harmless := req.Method == http.MethodGet || req.Method == http.MethodHead
	switch {
	case err != nil:
		return harmless && req.Context().Err() == nil && transient(err)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		return true
	}
	return harmless && inTrouble(resp.StatusCode)
}

// inTrouble reports whether the server could not answer, but may do so later.
func inTrouble(status int) bool {
	return status >= http.StatusInternalServerError && status != http.StatusNotImplemented
}

// transient reports whether a connection may come about the next time. A certificate that nobody
// vouches for and a host without an address are no matters of time; neither is a server that was
// silent when it was called or took a request and fell silent, after which everybody has waited
// long enough.
func transient(err error) bool {
	var (
		lookup    *net.DNSError
		operation *net.OpError
		stream    streamError
	)
	switch {
	case errors.As(err, &stream):
		return true
	case errors.As(err, &lookup):
		return !lookup.IsNotFound
	case silent(err):
		return false
	case errors.As(err, &operation):
		return operation.Op != "remote error" && operation.Op != "local error" // those are alerts of TLS
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// silent reports whether a server let a whole timeout pass: it took no connection, did not shake
// hands, or stalled. A connection that broke after its time is another thing: the network says so,
// and may mend.
func silent(err error) bool {
	var (
		stalled   *StalledError
		operation *net.OpError
		timeout   interface{ Timeout() bool }
	)
	if errors.As(err, &operation) && operation.Op != "dial" {
		return false
	}
	return errors.As(err, &stalled) || (errors.As(err, &timeout) && timeout.Timeout())
}

// streamError is what an HTTP/2 connection breaks off one of its streams with. The type of net/http
// is hidden, but gives itself to errors.As for any with the same fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream error: code %d", e.Code) }

// mostAsked is how long a pause a server may ask for, to be read: anything above means never.
const mostAsked = 24 * time.Hour

// retryAfter reads the header of that name: seconds or a date, by RFC 9110, section 10.2.3. It is 0
// when there is none or it cannot be read.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp == nil {
		return 0
	}
	return parseRetryAfter(resp.Header.Get("Retry-After"), now)
}

func parseRetryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(mostAsked/time.Second))) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(0, min(date.Sub(now), mostAsked))
}
