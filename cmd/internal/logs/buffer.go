package logs

import (
	"io"
	"sync"
	"time"
)

// Buffer stands between a logger and a writer that may be slow, so that nobody who logs waits for
// it. What does not fit any more is dropped, whole events at a time, and counted. Goroutines may
// share it.
type Buffer struct {
	w     io.Writer
	limit int // bytes

	mu      sync.Mutex
	pending []byte
	dropped int // events, since they were last reported
	closing bool

	wake  chan struct{} // holds one element when there is something to do
	ended chan struct{} // closed when Run returns
}

// NewBuffer returns a buffer of so many bytes before w. Run writes what it holds.
func NewBuffer(w io.Writer, bytes int) *Buffer {
	return &Buffer{w: w, limit: bytes, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Write takes one event. It never blocks and never fails.
func (b *Buffer) Write(event []byte) (int, error) {
	b.mu.Lock()
	if len(b.pending)+len(event) > b.limit {
		b.dropped++
	} else {
		b.pending = append(b.pending, event...)
	}
	b.mu.Unlock()
	b.poke()
	return len(event), nil
}

func (b *Buffer) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Run writes events until Close is called and nothing is left. Each time the writer has caught up,
// report is told how many events were dropped meanwhile; it may log. Errors of the writer are
// nobody's: there is no other place to say so.
func (b *Buffer) Run(report func(dropped int)) {
	defer close(b.ended)
	var taken []byte // what is being written; otherwise the room for what comes next
	for range b.wake {
		for {
			b.mu.Lock()
			taken, b.pending = b.pending, taken[:0]
			dropped, closing := b.dropped, b.closing
			b.dropped = 0
			b.mu.Unlock()
			if len(taken) == 0 && dropped == 0 {
				if closing {
					return
				}
				break
			}
			_, _ = b.w.Write(taken)
			if dropped > 0 {
				report(dropped)
			}
		}
	}
}

// Close waits until everything is written, but no longer than the time given, and reports whether
// it is. Run goes on if not, and nobody should log any more.
func (b *Buffer) Close(wait time.Duration) bool {
	b.mu.Lock()
	b.closing = true
	b.mu.Unlock()
	b.poke()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-b.ended:
		return true
	case <-timer.C:
		return false
	}
}
