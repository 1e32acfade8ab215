package registry_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"policy-server/registry"
)

func TestRetries(t *testing.T) {
	const attempts = 3
	for _, test := range []struct {
		name  string
		steps []http.HandlerFunc
		asked int
		want  string // part of the error; empty: the module
	}{
		{"503 once", []http.HandlerFunc{status(http.StatusServiceUnavailable), nil}, 2, ""},
		{"503 always", []http.HandlerFunc{status(http.StatusServiceUnavailable)}, attempts, "503"},
		{"500 once", []http.HandlerFunc{status(http.StatusInternalServerError), nil}, 2, ""},
		{"502, then 504", []http.HandlerFunc{status(http.StatusBadGateway), status(http.StatusGatewayTimeout), nil}, 3, ""},
		{"connection dropped once", []http.HandlerFunc{drop, nil}, 2, ""},
		{"429 once", []http.HandlerFunc{status(http.StatusTooManyRequests), nil}, 2, ""},
		{"429 always", []http.HandlerFunc{status(http.StatusTooManyRequests)}, attempts, "429"},
		{"400", []http.HandlerFunc{status(http.StatusBadRequest)}, 1, "400"},
		{"403", []http.HandlerFunc{status(http.StatusForbidden)}, 1, "403"},
		{"404", []http.HandlerFunc{status(http.StatusNotFound)}, 1, "404"},
		{"408", []http.HandlerFunc{status(http.StatusRequestTimeout)}, 1, "408"},
		{"410", []http.HandlerFunc{status(http.StatusGone)}, 1, "410"},
	} {
		for _, path := range []string{manifests, blobs} {
			t.Run(test.name+" for "+strings.Trim(path, "/"), func(t *testing.T) {
				s := plainServer(t)
				s.push(t, "p:1", wasm("policy"))
				steps := &script{path: path, steps: test.steps}
				s.setAnswer(steps.ServeHTTP)
				client := open(t, registry.Config{Sources: s.trusting(), Retries: registry.Retries{Attempts: attempts, FirstPause: time.Millisecond}})
				got, err := pull(t, client, s.host+"/p:1")
				if test.want != "" {
					wantError(t, err, test.want)
				} else {
					wantModule(t, got, err, wasm("policy"))
				}
				if n := len(steps.asked()); n != test.asked {
					t.Errorf("asked %d times, want %d", n, test.asked)
				}
			})
		}
	}
}

func TestRetriesOfPlainModules(t *testing.T) {
	module := serve(wasm("policy"), "")
	for _, test := range []struct {
		name  string
		steps []http.HandlerFunc
		asked int
		want  string
	}{
		{"503 once", []http.HandlerFunc{status(http.StatusServiceUnavailable), module}, 2, ""},
		{"429 once", []http.HandlerFunc{status(http.StatusTooManyRequests), module}, 2, ""},
		{"connection dropped once", []http.HandlerFunc{drop, module}, 2, ""},
		{"500 always", []http.HandlerFunc{status(http.StatusInternalServerError)}, 3, "unexpected status 500 Internal Server Error"},
		{"404", []http.HandlerFunc{status(http.StatusNotFound)}, 1, "unexpected status 404 Not Found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := tlsServer(t)
			steps := &script{path: "/p.wasm", steps: test.steps}
			s.setAnswer(steps.ServeHTTP)
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), "https://"+s.host+"/p.wasm")
			if test.want != "" {
				wantError(t, err, test.want)
			} else {
				wantModule(t, got, err, wasm("policy"))
			}
			if n := len(steps.asked()); n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
		})
	}
}

// TestRetryAfter holds that the pause is the one that a registry asks for, by the clock's lower
// bound only.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		header func() string
	}{
		{"seconds", func() string { return "1" }},
		// The format knows no parts of seconds: a date two seconds ahead is more than one second
		// away.
		{"date", func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := plainServer(t)
			s.push(t, "p:1", wasm("policy"))
			steps := &script{path: manifests, steps: []http.HandlerFunc{
				func(w http.ResponseWriter, r *http.Request) {
					status(http.StatusTooManyRequests, "Retry-After", test.header())(w, r)
				}, nil,
			}}
			s.setAnswer(steps.ServeHTTP)
			begin := time.Now()
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), s.host+"/p:1")
			wantModule(t, got, err, wasm("policy"))
			if passed := time.Since(begin); passed < time.Second {
				t.Errorf("asked again after %s, want a second at least", passed)
			}
		})
	}
}

// TestRetriesObeyTheContext has a registry ask for more patience than there is.
func TestRetriesObeyTheContext(t *testing.T) {
	s := plainServer(t)
	s.push(t, "p:1", wasm("policy"))
	client := open(t, registry.Config{Sources: s.trusting()})
	t.Run("more than anybody waits", func(t *testing.T) {
		s.setAnswer(status(http.StatusTooManyRequests, "Retry-After", "1000"))
		before := s.count("", "/v2/")
		_, err := client.Fetch(t.Context(), parse(t, s.host+"/p:1"))
		wantError(t, err, "429")
		if n := s.count("", "/v2/") - before; n > 2 { // over each scheme that a library tries
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("deadline before the pause ends", func(t *testing.T) {
		s.setAnswer(status(http.StatusTooManyRequests, "Retry-After", "25"))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := client.Fetch(ctx, parse(t, s.host+"/p:1"))
		wantError(t, err, "429")
		if ctx.Err() != nil {
			t.Error("the registry's answer came after the deadline, want it at once")
		}
	})
	t.Run("canceled in the pause", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
			status(http.StatusTooManyRequests, "Retry-After", "25")(w, r)
			time.AfterFunc(10*time.Millisecond, cancel)
		})
		before := s.count("", manifests)
		if _, err := client.Fetch(ctx, parse(t, s.host+"/p:1")); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want that the context was canceled", err)
		}
		if n := s.count("", manifests) - before; n > 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestRegistryThatIsDown(t *testing.T) {
	s := plainServer(t)
	s.Close()
	for _, sources := range []registry.Sources{{}, s.trusting()} {
		for _, text := range []string{s.host + "/p:1", "https://" + s.host + "/p.wasm"} {
			_, err := pull(t, open(t, registry.Config{Sources: sources}), text)
			wantError(t, err, "connection refused", s.host)
			var failed *registry.FetchError
			if !errors.As(err, &failed) || !strings.Contains(failed.Hint(), "is up") {
				t.Errorf("%s: got error %v, want a hint at the server", text, err)
			}
		}
	}
}

// TestSilentServers has servers that keep the connection and say nothing more.
func TestSilentServers(t *testing.T) {
	t.Parallel()
	module := large()
	for _, test := range []struct {
		name, path string
		steps      func(silence http.HandlerFunc) []http.HandlerFunc
		asked      int
		want       bool // the module
	}{
		{"instead of a manifest", manifests, func(silence http.HandlerFunc) []http.HandlerFunc { return []http.HandlerFunc{silence} }, 1, false},
		{"instead of a layer", blobs, func(silence http.HandlerFunc) []http.HandlerFunc { return []http.HandlerFunc{silence} }, 1, false},
		{"behind the headers of a layer", blobs, func(silence http.HandlerFunc) []http.HandlerFunc {
			return []http.HandlerFunc{first(0, module, silence)}
		}, 1, false},
		{"in a layer, once", blobs, func(silence http.HandlerFunc) []http.HandlerFunc {
			return []http.HandlerFunc{first(1000, module, silence), serve(module, "")}
		}, 2, true},
		{"in a layer, always", blobs, func(silence http.HandlerFunc) []http.HandlerFunc {
			return []http.HandlerFunc{first(1000, module, silence), silence}
		}, 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := plainServer(t)
			s.push(t, "p:1", module)
			silence := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
			steps := &script{path: test.path, steps: test.steps(silence)}
			s.setAnswer(steps.ServeHTTP)
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting(), StallTimeout: 3 * time.Second}), s.host+"/p:1")
			if n := len(steps.asked()); n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
			if test.want {
				wantModule(t, got, err, module)
				return
			}
			var stalled *registry.StalledError
			var failed *registry.FetchError
			if !errors.As(err, &stalled) || stalled.Host != s.host || !errors.As(err, &failed) || !strings.Contains(failed.Hint(), s.host) {
				t.Errorf("got error %v, want a StalledError that hints at the host", err)
			}
			wantError(t, err, "made no progress for 3s")
		})
	}
}

// TestSilentHandshake has a server that takes connections and does not shake hands: nobody waits
// for it again and again, and the hint is about that, not about plain HTTP, which is tried behind
// it and refused.
func TestSilentHandshake(t *testing.T) {
	t.Parallel()
	listener := listen(t, "127.0.0.1:0")
	taken := make(chan int)
	go func() {
		var conns []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			conn.Close()
		}
		taken <- len(conns)
	}()
	host := listener.Addr().String()
	_, err := pull(t, open(t, registry.Config{}), host+"/p:1")
	wantError(t, err, "TLS handshake timeout")
	var failed *registry.FetchError
	if !errors.As(err, &failed) || !strings.Contains(failed.Hint(), "firewall") {
		t.Errorf("got error %v, want a hint at the silence", err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if n := <-taken; n != 1 {
		t.Errorf("called %d times, want 1", n)
	}
}

// TestCalledOff has somebody give up while a server is silent: what is left to try is not tried,
// nor complained about.
func TestCalledOff(t *testing.T) {
	t.Parallel()
	listener := listen(t, "127.0.0.1:0")
	defer listener.Close()
	reason := errors.New("somebody pressed Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		conn, err := listener.Accept()
		cancel(reason)
		if err == nil {
			conn.Close()
		}
	}()
	_, err := open(t, registry.Config{}).Fetch(ctx, parse(t, listener.Addr().String()+"/p:1"))
	var plain *registry.PlainHTTPError
	if !errors.Is(err, reason) || errors.As(err, &plain) {
		t.Errorf("got error %v, want nothing but why it was called off", err)
	}
}

// TestSilentUploads has a registry that takes nothing of what it asked for.
func TestSilentUploads(t *testing.T) {
	t.Parallel()
	s := plainServer(t)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	u := &uploads{patch: func(http.ResponseWriter, *http.Request) { <-ended }}
	s.setAnswer(u.ServeHTTP)
	client := open(t, registry.Config{Sources: s.trusting(), StallTimeout: 3 * time.Second})
	_, err := client.Push(t.Context(), parse(t, s.host+"/p:1"), wasm(strings.Repeat("x", 9*megabyte)), nil)
	if !errors.As(err, new(*registry.StalledError)) {
		t.Errorf("got error %v, want a StalledError", err)
	}
	if sent := u.all(); strings.Count(sent, "PATCH") != 1 {
		t.Errorf("sent %s, want one chunk", sent)
	}
}

// first sends n bytes of content and goes on with next.
func first(n int, content []byte, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(content[:n])
		_ = http.NewResponseController(w).Flush()
		next(w, r)
	}
}

// TestSlowIsNotSilent has a registry that takes several times the stall timeout for one layer, but
// never pauses that long.
func TestSlowIsNotSilent(t *testing.T) {
	t.Parallel()
	const timeout, steps = 3 * time.Second, 6
	module := wasm(strings.Repeat("slow", 512<<10))
	s := plainServer(t)
	s.push(t, "p:1", module)
	slow := &script{path: blobs, steps: []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) {
		for piece := range slices.Chunk(module, len(module)/steps) {
			_, _ = w.Write(piece)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(timeout / 4)
		}
	}}}
	s.setAnswer(slow.ServeHTTP)
	begin := time.Now()
	got, err := pull(t, open(t, registry.Config{Sources: s.trusting(), StallTimeout: timeout}), s.host+"/p:1")
	wantModule(t, got, err, module)
	if passed := time.Since(begin); passed < timeout {
		t.Fatalf("the server took %s only, which tests nothing", passed)
	}
	if n := len(slow.asked()); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// TestCrumbs has servers that never pause for long and never come to an end.
func TestCrumbs(t *testing.T) {
	t.Parallel()
	crumb := bytes.Repeat([]byte(" "), 1<<10) // 20 KB a second, where 512 are wanted
	crumbs := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(crumb)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	}
	for _, path := range []string{"/v2/", manifests, blobs} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := plainServer(t)
			s.push(t, "p:1", large())
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == path || path != "/v2/" && strings.Contains(r.URL.Path, path) {
					crumbs(w, r)
				}
			})
			_, err := pull(t, open(t, registry.Config{
				Sources: s.trusting(), StallTimeout: time.Second, Retries: registry.Retries{Attempts: 1},
			}), s.host+"/p:1")
			if path == "/v2/" {
				if err != nil { // what a greeting says does not matter
					t.Error(err)
				}
			} else if !errors.As(err, new(*registry.StalledError)) {
				t.Errorf("got error %v, want a StalledError", err)
			}
		})
	}
}

// TestEndlessGreeting has a registry that talks for as long as anybody listens, before it was asked
// for anything.
func TestEndlessGreeting(t *testing.T) {
	s := plainServer(t)
	s.push(t, "manifests/p:1", large())
	var sent atomic.Int64
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		for piece := make([]byte, 1<<16); r.URL.Path == "/v2/" && sent.Load() < 256*megabyte; sent.Add(int64(len(piece))) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	client := open(t, registry.Config{Sources: s.trusting(), MaxManifestBytes: 32 << 10})
	if _, err := pull(t, client, s.host+"/manifests/p:1"); err != nil { // whose module is larger than a manifest may be
		t.Error(err)
	}
	if n := sent.Load(); n >= 256*megabyte {
		t.Errorf("%d bytes were read", n)
	}
}
