package real

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a service in the background.
type process struct {
	name    string
	command *exec.Cmd
	output  *buffer
	ended   chan struct{}
	once    sync.Once
}

// buffer collects what a process prints while others look.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs a service until the test ends or it is stopped.
func start(t *testing.T, name, binary string, args ...string) *process {
	t.Helper()
	p := &process{name: name, output: new(buffer), ended: make(chan struct{})}
	p.command = exec.Command(binary, args...)
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.Dir = t.TempDir()
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait() // killed, or its output says why it ended
		close(p.ended)
	}()
	t.Cleanup(p.stop)
	return p
}

func (p *process) stop() {
	p.once.Do(func() {
		_ = p.command.Process.Kill()
		<-p.ended
	})
}

// ready waits until url answers 200, and returns the answer.
func (p *process) ready(t *testing.T, url string) []byte {
	t.Helper()
	for range 300 {
		if body, ok := get(url); ok {
			return body
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended:\n%s", p.name, tail(p.output.String()))
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not get ready", p.name)
	return nil
}

func get(url string) ([]byte, bool) {
	response, err := http.Get(url)
	if err != nil {
		return nil, false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return body, err == nil && response.StatusCode == http.StatusOK
}

// printed waits until the process has printed text.
func (p *process) printed(t *testing.T, text string) {
	t.Helper()
	for range 300 {
		if strings.Contains(p.output.String(), text) {
			return
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended without printing %q:\n%s", p.name, text, tail(p.output.String()))
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not print %q:\n%s", p.name, text, tail(p.output.String()))
}

// command is one run of a program.
type command struct {
	env  []string // added to our own
	args []string // the binary first
}

// run returns what the program printed on both streams together, and whether it ended well.
func (c command) run(t *testing.T) (string, bool) {
	t.Helper()
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Env = append(cmd.Environ(), c.env...)
	cmd.Dir = t.TempDir()
	output, err := cmd.CombinedOutput()
	return string(output), err == nil
}

// must is run for programs that have to end well.
func (c command) must(t *testing.T) string {
	t.Helper()
	output, ok := c.run(t)
	if !ok {
		t.Fatalf("%s failed:\n%s", strings.Join(c.args, " "), tail(output))
	}
	return output
}

func tail(text string) string {
	const most = 4000
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}
