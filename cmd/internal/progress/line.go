// Package progress draws one line on a terminal about something that takes a while, below whatever
// else is written there. On anything but a terminal it draws nothing at all. It knows nothing of
// what is going on.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// redrawInterval is as often as an eye can follow.
const redrawInterval = 100 * time.Millisecond

var frames = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// Line is the line, and a writer for everything else that goes to its terminal meanwhile.
// Goroutines may share it.
type Line struct {
	columns func() int // of the terminal; nil: there is none

	mu    sync.Mutex
	out   io.Writer
	text  string // empty: nothing is drawn
	moved string // how far it is
	frame int
	drawn int // columns, now
	last  time.Time
}

// Start draws text on out if that is a terminal.
func Start(out io.Writer, text string) *Line {
	l := &Line{out: out}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		l.columns = func() int {
			columns, _, err := term.GetSize(int(file.Fd()))
			if err != nil || columns <= 0 {
				return 80
			}
			return columns
		}
	}
	return l.begin(text)
}

func (l *Line) begin(text string) *Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.columns != nil {
		l.text = text
		l.draw()
	}
	return l
}

// Update says how many bytes there are, of how many in the end; that may be -1.
func (l *Line) Update(done, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == "" {
		return
	}
	l.moved = megabytes(done)
	if total > 0 {
		l.moved = fmt.Sprintf("%s of %s, %d%%", l.moved, megabytes(total), done*100/total)
	}
	if done == total || time.Since(l.last) >= redrawInterval {
		l.frame = (l.frame + 1) % len(frames)
		l.erase()
		l.draw()
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// End puts text, as a line that stays, in the place of what was drawn.
func (l *Line) End(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == "" {
		return
	}
	l.erase()
	l.text = ""
	fmt.Fprintln(l.out, text)
}

// Write writes to the terminal above the line, which whole lines leave in order.
func (l *Line) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.erase()
	defer l.draw()
	return l.out.Write(p)
}

// draw and erase use no escape sequences, which not every terminal has.
func (l *Line) draw() {
	if l.text == "" {
		return
	}
	line := []rune(strings.TrimSpace(string(frames[l.frame]) + " " + l.text + "  " + l.moved))
	line = line[:min(len(line), max(0, l.columns()-1))] // a line that wraps cannot be erased
	l.drawn, l.last = len(line), time.Now()
	fmt.Fprint(l.out, string(line))
}

func (l *Line) erase() {
	if l.drawn > 0 {
		fmt.Fprint(l.out, "\r"+strings.Repeat(" ", l.drawn)+"\r")
		l.drawn = 0
	}
}
