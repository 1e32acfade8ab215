package sandbox

import (
	"fmt"
	"strings"
)

// Transcript keeps what a guest prints, up to a limit. The end is what is kept: there a dying guest
// says why.
type Transcript struct {
	limit int
	total int
	tail  []byte // at most twice limit, so that moving it down is rare
}

// NewTranscript returns an empty transcript that keeps the last limit bytes.
func NewTranscript(limit int) *Transcript { return &Transcript{limit: limit} }

// Write appends p. It never fails. A nil transcript keeps nothing.
func (t *Transcript) Write(p []byte) (int, error) {
	if t == nil {
		return len(p), nil
	}
	t.total += len(p)
	kept := p[max(0, len(p)-t.limit):]
	if len(t.tail)+len(kept) > 2*t.limit {
		t.tail = append(t.tail[:0], t.tail[len(t.tail)-min(len(t.tail), t.limit):]...)
	}
	t.tail = append(t.tail, kept...)
	return len(p), nil
}

// String returns the text with invalid UTF-8 replaced; a note in front says how much was cut.
func (t *Transcript) String() string {
	if t == nil {
		return ""
	}
	kept := t.tail[max(0, len(t.tail)-t.limit):]
	text := strings.ToValidUTF8(string(kept), "\uFFFD")
	if cut := t.total - len(kept); cut > 0 {
		return fmt.Sprintf("[%d bytes cut] %s", cut, text)
	}
	return text
}
