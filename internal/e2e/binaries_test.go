// Package e2e tests what users run: the real binaries, as processes, talking over real sockets on
// loopback with a real registry and real cosign signatures.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The folders TestMain builds binaries into: as users build them, and as watchful as the tests
// themselves. They differ under the race detector, which slows compiling guests in Go down tenfold;
// tests with tiny guests use the watchful ones.
var plain, watchful string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	root, err := os.MkdirTemp("", "policy-server-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(root)
	plain, watchful = filepath.Join(root, "plain"), filepath.Join(root, "watchful")
	for _, b := range []struct {
		folder   string
		args     []string
		packages []string
	}{
		{plain, nil, []string{"../../cmd/policy-server", "../../cmd/policyctl", "../demo"}},
		{watchful, []string{raceFlag}, []string{"../../cmd/policy-server"}},
	} {
		args := append(append([]string{"build", "-o", b.folder + "/"}, b.args...), b.packages...)
		if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the binaries: %v\n%s", err, output)
			return 1
		}
	}
	return m.Run()
}

// server is a running policy-server.
type server struct {
	url, readiness string
	folder         string // of its files
	command        *exec.Cmd
	output         *buffer
	ended          chan struct{}
	err            error // once ended
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

// storeFlag names the store: each server has its own, unless it is given one.
const storeFlag = "--policies-download-dir"

// launch starts a watchful policy-server with files, a map from flag to content, on free loopback
// ports. It compiles in its own process: a watchful compiler would take its time for nothing.
func launch(t *testing.T, files map[string]string, flags ...string) *server {
	t.Helper()
	return launchFrom(t, watchful, files, append([]string{"--compile-isolation", "none"}, flags...)...)
}

// launchFrom does the same with the binary in folder.
func launchFrom(t *testing.T, binaries string, files map[string]string, flags ...string) *server {
	t.Helper()
	folder := t.TempDir()
	args := append([]string{"--addr", "127.0.0.1", "--port", "0", "--readiness-probe-port", "0", "--lame-duck", "0"}, flags...)
	if !slices.Contains(flags, storeFlag) {
		args = append(args, storeFlag, filepath.Join(folder, "modules"))
	}
	for flag, content := range files {
		path := filepath.Join(folder, flag+".yml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--"+flag, path)
	}
	s := &server{folder: folder, output: new(buffer), ended: make(chan struct{})}
	s.command = exec.Command(filepath.Join(binaries, "policy-server"), args...)
	s.command.Stdout, s.command.Stderr = s.output, s.output
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.command.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.command.Process.Kill() // a server that was stopped in order is gone by now
		<-s.ended
		if strings.Contains(s.output.String(), "DATA RACE") {
			t.Errorf("data race in the server:\n%s", s.output.String())
		}
	})
	return s
}

var listening = regexp.MustCompile(`server listening address="([^"]+)" readiness="([^"]+)"`)

// started waits until the server listens and is ready.
func started(t *testing.T, s *server) *server {
	t.Helper()
	for range 600 {
		if found := listening.FindStringSubmatch(s.output.String()); found != nil {
			s.url, s.readiness = "http://"+found[1], "http://"+found[2]+"/readiness"
			response, err := http.Get(s.readiness)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Fatalf("readiness: %s", response.Status)
			}
			return s
		}
		select {
		case <-s.ended:
			t.Fatalf("the server ended: %v\n%s", s.err, s.output.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("the server does not get ready:\n%s", s.output.String())
	return nil
}

// rewrite puts another file in the place of the one given for flag.
func (s *server) rewrite(t *testing.T, flag, content string) {
	t.Helper()
	path := filepath.Join(s.folder, flag+".yml")
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// waitFor waits until the server has printed text.
func (s *server) waitFor(t *testing.T, text string) {
	t.Helper()
	for range 600 {
		if strings.Contains(s.output.String(), text) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("nothing of %q in\n%s", text, s.output.String())
}

// refusedToStart waits for the server to end by itself, with exit code 1, and returns what it
// printed.
func refusedToStart(t *testing.T, s *server) string {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		t.Fatalf("the server did not end:\n%s", s.output.String())
	}
	if code := s.command.ProcessState.ExitCode(); code != 1 {
		t.Fatalf("exit code %d:\n%s", code, s.output.String())
	}
	return s.output.String()
}

// stop sends SIGTERM and waits for an orderly end.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		t.Fatalf("the server did not stop:\n%s", s.output.String())
	}
	if s.err != nil {
		t.Errorf("the server stopped with %v:\n%s", s.err, s.output.String())
	}
}

// post sends body to path and returns status and body of the answer.
func (s *server) post(t *testing.T, path string, body []byte) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// policyctl runs the CLI to its end and returns its two outputs and its exit code.
func policyctl(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(plain, "policyctl"), args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	// One cache for all runs: what was compiled once is not compiled again.
	c.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(plain, "cache"), "XDG_CONFIG_HOME="+t.TempDir())
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}
