package server

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// traffic is the calls in flight: how many bytes their bodies and answers take together, and which
// they are.
type traffic struct {
	budget int64
	held   atomic.Int64

	mu    sync.Mutex
	calls map[*call]struct{}
}

func newTraffic(budget int64) *traffic {
	return &traffic{budget: budget, calls: map[*call]struct{}{}}
}

// call is one HTTP request in flight. It belongs to the goroutine that serves it.
type call struct {
	traffic *traffic
	uri     string
	began   time.Time
	held    int64 // bytes
}

// begin counts a call in. The caller ends it.
func (t *traffic) begin(uri string) *call {
	c := &call{traffic: t, uri: uri, began: time.Now()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[c] = struct{}{}
	return c
}

func (c *call) end() {
	c.traffic.held.Add(-c.held)
	c.traffic.mu.Lock()
	defer c.traffic.mu.Unlock()
	delete(c.traffic.calls, c)
}

// unfinished returns the calls in flight, the oldest first.
func (t *traffic) unfinished() []*call {
	t.mu.Lock()
	defer t.mu.Unlock()
	var calls []*call
	for c := range t.calls {
		calls = append(calls, c)
	}
	slices.SortFunc(calls, func(a, b *call) int { return a.began.Compare(b.began) })
	return calls
}

// trafficError reports that the calls in flight take too much memory for one more body or answer.
type trafficError struct{ budget int64 }

func (e *trafficError) Error() string {
	return fmt.Sprintf("requests and answers in flight would take more than %d bytes", e.budget)
}

func (e *trafficError) Hint() string {
	return "give the server more replicas or memory (--request-memory), or ask it about smaller objects"
}

// hold makes n what the call holds. The error is a *trafficError: what it held before it keeps.
// Small calls may use all of the budget and others three quarters, so that these cannot keep those
// out.
func (c *call) hold(n int) error {
	more := int64(n) - c.held
	budget := c.traffic.budget
	if n > small {
		budget -= budget / 4
	}
	if held := c.traffic.held.Add(more); more > 0 && held > budget {
		c.traffic.held.Add(-more)
		return &trafficError{c.traffic.budget}
	}
	c.held = int64(n)
	return nil
}

// small is up to what size a body or answer is small. As much of an announced length is allocated
// before any of it has arrived: enough for most reviews in one piece, too little for a client that
// announces megabytes on a thousand connections and sends nothing.
const small = 64<<10 + bytes.MinRead

// read reads all of body, of which no more than most bytes are to be expected, for as long as there
// is room for it.
func (c *call) read(body io.Reader, most int64) ([]byte, error) {
	enough := most + bytes.MinRead // the end is found without growing once more
	var b []byte
	for size := min(enough, small); ; size = max(min(2*size, enough), size+bytes.MinRead) {
		if err := c.hold(int(size)); err != nil {
			return nil, err
		}
		b = append(make([]byte, 0, size), b...)
		for len(b) < cap(b) {
			n, err := body.Read(b[len(b):cap(b)])
			b = b[:len(b)+n]
			switch {
			case err == io.EOF:
				return b, nil
			case err != nil:
				return nil, &bodyError{err}
			}
		}
	}
}
