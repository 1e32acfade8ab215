package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns the two ends of a pseudo-terminal: the one a person looks at, and the one a
// program writes to.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	size := &unix.Winsize{Row: 24, Col: 100}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// TestPull_terminal holds that somebody at a terminal sees what happens, on stderr, and that the
// line goes away.
func TestPull_terminal(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	u.pushed(u.annotated("accepts", podMetadata), host+"/pods:v1")
	for name, c := range map[string]struct{ uri, end string }{
		"pulled": {host + "/pods:v1", "Successfully pulled policy from " + host + "/pods:v1\r\n"},
		"failed": {host + "/none:v1", "Failed to pull policy: fetch \"registry://" + host + "/none:v1\": "},
	} {
		t.Run(name, func(t *testing.T) {
			person, program := openTerminal(t)
			seen := make(chan string)
			go func() {
				var all bytes.Buffer
				_, _ = io.Copy(&all, person) // ends with an error when the other end is closed
				seen <- all.String()
			}()
			var stdout bytes.Buffer
			run([]string{"kwctl", "pull", c.uri}, strings.NewReader(""), &stdout, program)
			program.Close()
			got := <-seen
			begin, erased := strings.Index(got, "⠋ Pulling policy from "+c.uri), strings.Index(got, "\r ")
			if end := strings.Index(got, c.end); begin < 0 || erased < begin || end < erased || stdout.Len() > 0 {
				t.Errorf("the terminal got %q, stdout %q, want the line, erased, then %q", got, stdout.String(), c.end)
			}
		})
	}
}
