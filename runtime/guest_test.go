package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"policy-server/runtime"
)

// TestGuestMode holds which guests are reset, which are not and why, and what becomes of their
// instances.
func TestGuestMode(t *testing.T) {
	const calls = 3
	type discards = map[string]uint64
	for _, tc := range []struct {
		guest    string
		cfg      runtime.GuestConfig
		warmUps  []string // payloads to validate
		mode     runtime.Mode
		reason   string
		resets   uint64
		discards discards
	}{
		{guest: "accepts", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "accepts", cfg: runtime.GuestConfig{Mode: runtime.ModeFresh}, mode: runtime.ModeFresh, discards: discards{"spent": calls}},
		{guest: "counts_calls", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "counts_calls_in_memory", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "counts_calls_in_fixed_memory", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "grows_to_its_maximum_in_init", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "counts_calls_in_size", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "keeps_request", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "guest_error", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "traps", mode: runtime.ModeReset, discards: discards{"spent": 1, "trap": calls}},
		{guest: "answers_too_much", mode: runtime.ModeReset, discards: discards{"spent": 1, "trap": calls}},
		{guest: "exits", mode: runtime.ModeReset, discards: discards{"spent": 1, "exit": calls}},
		{guest: "loops_forever", mode: runtime.ModeReset, discards: discards{"spent": 1, "interrupt": calls}},
		{guest: "closes_stdout", mode: runtime.ModeReset, discards: discards{"spent": 1, "descriptors": calls}},
		{guest: "grows_to_its_maximum", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "grows_beyond_its_maximum", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "grows_memory", mode: runtime.ModeReset, resets: calls, discards: discards{"spent": 1}},
		{guest: "counts_calls_in_table", mode: runtime.ModeFresh, discards: discards{"spent": calls},
			reason: "its state is more than memory and globals: ref.func in function 2 at offset 0xad"},
		{guest: "calls_host_in_init", mode: runtime.ModeFresh, discards: discards{"spent": calls + 1},
			reason: "it calls its host while starting"},
		{guest: "calls_host_in_init", cfg: runtime.GuestConfig{WarmUpHost: echoHost}, mode: runtime.ModeReset, resets: calls,
			discards: discards{"spent": 1}},
		{guest: "traps_in_init", mode: runtime.ModeReset, discards: discards{}},
		{guest: "wasi_accepts", mode: runtime.ModeFresh, discards: discards{"spent": calls},
			reason: "it has not been tried whether a command that is held answers as a new one"},
		{guest: "wasi_accepts", cfg: runtime.GuestConfig{Mode: runtime.ModeFresh}, warmUps: []string{"{}"}, mode: runtime.ModeFresh},
		{guest: "wasi_accepts", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_exits_zero", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_exits", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_traps", warmUps: []string{"{}"}, mode: runtime.ModeReset},
		{guest: "wasi_counts_calls", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_counts_calls_in_memory", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_counts_calls_in_fixed_memory", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_counts_calls_in_size", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_counts_calls_in_local", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_counts_calls_in_table", warmUps: []string{"{}"}, mode: runtime.ModeFresh,
			reason: "its state is more than memory and globals: ref.func in function 6 at offset 0x174"},
		{guest: "wasi_keeps_request", warmUps: []string{`{"a":1}`, `{"b":22}`}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_reads_in_pieces", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_reads_as_preview0", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_polls_before_reading", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_host_call", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_recurses_deeply", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
		{guest: "wasi_recurses_before_reading", warmUps: []string{"{}"}, mode: runtime.ModeFresh,
			reason: "it goes deep before it reads its request"},
		{guest: "wasi_closes_stdin", warmUps: []string{"{}"}, mode: runtime.ModeReset},
		{guest: "wasi_never_reads", warmUps: []string{"{}"}, mode: runtime.ModeFresh, reason: "it prints before it reads its request"},
		{guest: "wasi_prints_before_reading", warmUps: []string{"{}"}, mode: runtime.ModeFresh, reason: "it prints before it reads its request"},
		{guest: "wasi_calls_host_before_reading", warmUps: []string{"{}"}, mode: runtime.ModeFresh,
			reason: "it calls its host before it reads its request"},
		{guest: "wasi_traps_before_reading", warmUps: []string{"{}"}, mode: runtime.ModeFresh, reason: "it ends before it reads its request"},
		{guest: "wasi_reads_in_start_function", warmUps: []string{"{}"}, mode: runtime.ModeFresh,
			reason: "it reads its request in its start function"},
		{guest: "wasi_loops_before_reading", warmUps: []string{"{}"}, mode: runtime.ModeFresh,
			reason: "it has not been tried whether a command that is held answers as a new one"},
		{guest: "wasi_random_answer", warmUps: []string{"{}"}, mode: runtime.ModeFresh,
			reason: "a reset instance answers otherwise than a new one"},
		{guest: "random_answer", warmUps: []string{"{}"}, mode: runtime.ModeFresh,
			reason: "a reset instance answers otherwise than a new one"},
		{guest: "keeps_request", warmUps: []string{`{"a":1}`, `{"b":22}`}, mode: runtime.ModeReset, resets: calls},
		{guest: "keeps_request", warmUps: []string{`{"a":1}`}, mode: runtime.ModeReset, resets: calls},
		{guest: "counts_calls", warmUps: []string{`{"a":1}`, `{"b":22}`}, mode: runtime.ModeReset, resets: calls},
		{guest: "traps", warmUps: []string{"{}"}, mode: runtime.ModeReset},
		{guest: "loops_forever", warmUps: []string{"{}"}, mode: runtime.ModeReset},
		{guest: "unknown_host_call", warmUps: []string{"{}"}, mode: runtime.ModeReset, resets: calls},
	} {
		t.Run(fmt.Sprintf("%s, %d warm-ups", tc.guest, len(tc.warmUps)), func(t *testing.T) {
			m := compile(t, open(t, testLimits), tc.guest)
			g := newGuest(t, m, tc.cfg)
			limit := time.Minute
			if strings.Contains(tc.guest, "loops") {
				limit = 200 * time.Millisecond
			}
			for _, payload := range tc.warmUps {
				warmUpWithin(t, limit, g, runtime.Validate, payload)
			}
			for range calls {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				_, _ = g.Call(ctx, ask(runtime.Validate, []byte(`{"request":1}`)), echoHost) // TestCorpus looks at what comes of it
				cancel()
			}
			got := g.Stats()
			if got.Mode != tc.mode || got.Reason != tc.reason || got.Resets != tc.resets {
				t.Errorf("got  mode %s because %q, %d resets\nwant mode %s because %q, %d resets",
					got.Mode, got.Reason, got.Resets, tc.mode, tc.reason, tc.resets)
			}
			seen := discards{}
			for cause, n := range got.Discards {
				seen[string(cause)] = n
			}
			if tc.discards != nil && !maps.Equal(seen, tc.discards) {
				t.Errorf("discards: got %v, want %v", seen, tc.discards)
			}
		})
	}
}

// An image that holds the first request must not serve others, however the guest was warmed up.
func TestGuestForgetsWarmUps(t *testing.T) {
	e := open(t, testLimits)
	for _, warmUps := range [][]string{{}, {`{"a":1}`}, {`{"a":1}`, `{"a":1}`}, {`{"a":1}`, `{"b":22}`}} {
		t.Run(fmt.Sprint(warmUps), func(t *testing.T) {
			g := newGuest(t, compile(t, e, "keeps_request"), runtime.GuestConfig{})
			for _, payload := range warmUps {
				if got, want := warmUp(t, g, runtime.Validate, payload), fmt.Sprintf("answer %s printed %q", payload, ""); got != want {
					t.Errorf("warm-up: got %s, want %s", got, want)
				}
			}
			for _, payload := range []string{"one", "and another one"} {
				got := describe(g.Call(t.Context(), ask(runtime.Validate, []byte(payload)), nil))
				if want := fmt.Sprintf("answer %s printed %q", payload, ""); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
			if got := g.Stats().Mode; got != runtime.ModeReset {
				t.Errorf("mode is %s", got)
			}
		})
	}
}

func TestWarmUpTooLate(t *testing.T) {
	g := newGuest(t, compile(t, open(t, testLimits), "accepts"), runtime.GuestConfig{})
	if got := describe(g.Call(t.Context(), ask(runtime.Validate, nil), nil)); got != accepted {
		t.Fatal(got)
	}
	if _, err := g.WarmUp(t.Context(), ask(runtime.Validate, nil)); !errors.Is(err, runtime.ErrServing) {
		t.Errorf("got %v, want %v", err, runtime.ErrServing)
	}
}

// While the image is made, host calls reach what the config says and nothing else; afterwards the
// caller's host.
func TestWarmUpHost(t *testing.T) {
	e := open(t, testLimits)
	for _, tc := range []struct {
		name string
		host runtime.HostCall
		want string
	}{
		{"none", nil, `call: wasm trap: unreachable printed ""`},
		{"one", func(context.Context, string, string, []byte) ([]byte, error) { return []byte("warm"), nil },
			`answer warm printed ""`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGuest(t, compile(t, e, "echoes"), runtime.GuestConfig{WarmUpHost: tc.host})
			if got := warmUp(t, g, runtime.Validate, "hi"); got != tc.want {
				t.Errorf("warm-up: got %s, want %s", got, tc.want)
			}
			if got, want := describe(g.Call(t.Context(), ask(runtime.Validate, []byte("hi")), echoHost)), `answer hi printed ""`; got != want {
				t.Errorf("call: got %s, want %s", got, want)
			}
		})
	}
}

func TestNewGuestRefuses(t *testing.T) {
	m := compile(t, open(t, testLimits), "obeys")
	for _, tc := range []struct {
		name string
		cfg  runtime.GuestConfig
		want string
	}{
		{"unknown mode", runtime.GuestConfig{Mode: "dirty"}, `mode "dirty": unknown; known: reset, fresh`},
		{"negative idle time", runtime.GuestConfig{Idle: -1}, "idle time -1ns: must not be negative"},
		{"less memory than it starts with", runtime.GuestConfig{MemoryLimit: 8<<16 - 1},
			"memory limit 524287: must be from 524288 bytes, with which the module starts, to the runtime's 33554432"},
		{"more memory than the engine gives", runtime.GuestConfig{MemoryLimit: 32<<20 + 1},
			"memory limit 33554433: must be from 524288 bytes, with which the module starts, to the runtime's 33554432"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := m.NewGuest(tc.cfg); err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// A guest's own memory limit holds in both modes.
func TestGuestMemoryLimit(t *testing.T) {
	m := compile(t, open(t, testLimits), "counts_calls_in_size")
	for _, mode := range []runtime.Mode{runtime.ModeReset, runtime.ModeFresh} {
		g := newGuest(t, m, runtime.GuestConfig{Mode: mode, MemoryLimit: 2<<16 - 1})
		want := `answer {"accepted":true,"message":"call no. 0"} printed ""` // it could not grow
		if got := describe(g.Call(t.Context(), ask(runtime.Validate, nil), nil)); got != want {
			t.Errorf("%s: got %s, want %s", mode, got, want)
		}
	}
}

// What was used in a burst is given back when it is idle, and made again when it is needed.
func TestGuestIdle(t *testing.T) {
	g := newGuest(t, compile(t, open(t, testLimits), "echoes"), runtime.GuestConfig{Idle: 10 * time.Millisecond})
	goroutines := goruntime.NumGoroutine()
	const callers = 8
	for range 2 {
		var inside, all sync.WaitGroup
		inside.Add(callers)
		for range callers {
			all.Go(func() {
				got := describe(g.Call(t.Context(), ask(runtime.Validate, []byte("hi")),
					func(_ context.Context, _, _ string, payload []byte) ([]byte, error) {
						inside.Done()
						inside.Wait()
						return payload, nil
					}))
				if want := `answer hi printed ""`; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		}
		all.Wait()
		eventually(t, func() bool { return g.Stats().Instances == 0 })
	}
	got := g.Stats()
	if got.Resets != 2*callers || got.Discards["idle"] != 2*callers || got.Idle != 0 {
		t.Errorf("got %+v, want %d resets and as many idle instances given up", got, 2*callers)
	}
	eventually(t, func() bool { return goruntime.NumGoroutine() <= goroutines })
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for too long")
		}
	}
}

// Guests that cannot be stopped by asking are stopped soon after their deadline, whatever they do.
func TestGuestStopsInTime(t *testing.T) {
	e := open(t, testLimits)
	stuck := func(ctx context.Context, _, _ string, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, guest := range []string{
		"loops_forever", "recurses_as_tree", "recurses_and_loops", "fills_memory_forever", "sleeps", "echoes",
		"draws_randomness_forever", "prints_nothing_forever", "reads_nothing_forever", "polls_forever", "logs_forever",
		"wasi_loops_forever", "wasi_host_call",
	} {
		t.Run(guest, func(t *testing.T) {
			g := newGuest(t, compile(t, e, guest), runtime.GuestConfig{})
			const limit = 300 * time.Millisecond // time enough to get going on a busy machine
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				began := time.Now()
				got := describe(g.Call(ctx, ask(runtime.Validate, []byte("{}")), stuck))
				late := time.Since(began) - limit
				cancel()
				if want, _, _ := strings.Cut(timedOut, " printed"); !strings.HasPrefix(got, want) {
					t.Errorf("got %s, want %s", got, want)
				}
				if late > 10*time.Second { // a few milliseconds on a machine with nothing else to do; see the benchmarks
					t.Errorf("returned %s after its deadline", late)
				}
				t.Logf("returned %s after its deadline", late)
			}
		})
	}
}

// What comes of some of the commands that the guests called obeys understand.
var (
	obedience = map[string]string{
		"t": `call: wasm trap: unreachable printed ""`,
		"l": timedOut,
		"e": `call: guest exited with code 0 printed ""`,
	}
	wasiObedience = map[string]string{
		"t": `exit: code 0 trap "wasm trap: unreachable" stderr ""`,
		"l": timedOut,
		"e": `exit: code 3 trap "" stderr ""`,
	}
)

// Nothing of one call reaches another, whatever went on before it and beside it.
func TestGuest_hammer(t *testing.T) {
	e := open(t, testLimits)
	for _, tc := range []struct {
		guest   string
		mode    runtime.Mode
		outcome map[string]string
	}{
		{"obeys", runtime.ModeReset, obedience},
		{"obeys", runtime.ModeFresh, obedience},
		{"wasi_obeys", runtime.ModeReset, wasiObedience},
		{"wasi_obeys", runtime.ModeFresh, wasiObedience},
	} {
		t.Run(tc.guest+"/"+string(tc.mode), func(t *testing.T) {
			g := newGuest(t, compile(t, e, tc.guest), runtime.GuestConfig{Mode: tc.mode, Idle: time.Millisecond})
			warmUp(t, g, runtime.Validate, "-")
			if got := g.Stats(); got.Mode != tc.mode {
				t.Fatalf("mode is %s: %s", got.Mode, got.Reason)
			}
			var callers sync.WaitGroup
			for range 16 {
				callers.Go(func() {
					for range 40 {
						command := string("tlegfcr----"[rand.N(11)])
						want := nothingKept
						if other, ok := tc.outcome[command]; ok {
							want = other
						}
						limit := time.Minute
						if command == "l" {
							limit = 5 * time.Millisecond
						}
						ctx, cancel := context.WithTimeout(t.Context(), limit)
						got := describe(g.Call(ctx, ask(runtime.Validate, []byte(command)), nil))
						cancel()
						if command == "l" && strings.HasPrefix(got, "interrupted during start") {
							continue // it never had its turn
						}
						if got != want {
							t.Errorf("%s: got  %s\nwant %s", command, got, want)
						}
					}
				})
			}
			callers.Wait()
			stats := g.Stats()
			if stats.Instances > 16 {
				t.Errorf("%d instances for 16 callers", stats.Instances)
			}
			t.Logf("%+v", stats)
		})
	}
}

func TestGuestClose(t *testing.T) {
	for _, tc := range []struct {
		name  string
		close func(context.Context, *runtime.Engine, *runtime.Module, *runtime.Guest) error
	}{
		{"guest", func(ctx context.Context, _ *runtime.Engine, _ *runtime.Module, g *runtime.Guest) error {
			return g.Close(ctx)
		}},
		{"module", func(ctx context.Context, _ *runtime.Engine, m *runtime.Module, _ *runtime.Guest) error {
			return m.Close(ctx)
		}},
		{"engine", func(ctx context.Context, e *runtime.Engine, _ *runtime.Module, _ *runtime.Guest) error {
			return e.Close(ctx)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := open(t, testLimits)
			m := compile(t, e, "echoes")
			g := newGuest(t, m, runtime.GuestConfig{})
			if got, want := describe(g.Call(t.Context(), ask(runtime.Validate, []byte("hi")), echoHost)), `answer hi printed ""`; got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
			entered, proceed, outcome := make(chan struct{}), make(chan struct{}), make(chan string)
			go func() {
				outcome <- describe(g.Call(t.Context(), ask(runtime.Validate, []byte("hi")),
					func(_ context.Context, _, _ string, payload []byte) ([]byte, error) {
						close(entered)
						<-proceed
						return payload, nil
					}))
			}()
			<-entered
			done, cancel := context.WithCancel(t.Context())
			cancel()
			if err := tc.close(done, e, m, g); !errors.Is(err, context.Canceled) {
				t.Errorf("close during a call: got %v, want the context's error", err)
			}
			close(proceed)
			if got, want := <-outcome, `answer hi printed ""`; got != want {
				t.Errorf("the running call: got %s, want %s", got, want)
			}
			for range 2 {
				if err := tc.close(t.Context(), e, m, g); err != nil {
					t.Errorf("close: %v", err)
				}
			}
			if _, err := g.Call(t.Context(), ask(runtime.Validate, nil), nil); !errors.Is(err, runtime.ErrClosed) {
				t.Errorf("call after close: got %v, want %v", err, runtime.ErrClosed)
			}
			if _, err := g.WarmUp(t.Context(), ask(runtime.Validate, nil)); !errors.Is(err, runtime.ErrClosed) {
				t.Errorf("warm-up after close: got %v, want %v", err, runtime.ErrClosed)
			}
			if got := g.Stats(); got.Instances != 0 {
				t.Errorf("after close: %d instances", got.Instances)
			}
		})
	}
}

// TestGuest_Another holds that guests which share an image each answer from it, also when the one
// that made it is closed, and that an image takes one file descriptor once warming up has ended.
func TestGuest_Another(t *testing.T) {
	m := compile(t, open(t, testLimits), "counts_calls_in_memory")
	before := imageFiles(t)
	first, err := m.NewGuest(runtime.GuestConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"a", "b"} {
		if _, err := first.WarmUp(t.Context(), ask(runtime.Validate, []byte(payload))); err != nil {
			t.Fatal(err)
		}
	}
	second, err := first.Another(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := first.Stats(), second.Stats(); b.Started != 0 || b.Mode != a.Mode || b.Method != a.Method || b.ImageBytes != a.ImageBytes || b.Reason != a.Reason {
		t.Errorf("got %+v, want what the first has: %+v", b, a)
	}
	if n := imageFiles(t) - before; n > 1 {
		t.Errorf("%d descriptors of images", n)
	}
	if _, err := first.WarmUp(t.Context(), ask(runtime.Validate, nil)); !errors.Is(err, runtime.ErrServing) {
		t.Errorf("warming up the first once more: %v", err)
	}
	answers := func(g *runtime.Guest) {
		t.Helper()
		for range 3 {
			answer, err := g.Call(t.Context(), ask(runtime.Validate, nil), nil)
			if err != nil || string(answer.Payload) != `{"accepted":true,"message":"call no. 1"}` {
				t.Errorf("answer %s, %v", answer.Payload, err)
			}
		}
	}
	answers(first)
	answers(second)
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	answers(second)
	third, err := second.Another(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	answers(third)
	if err := third.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := imageFiles(t) - before; n != 0 {
		t.Errorf("%d descriptors of images are left", n)
	}
	fresh := newGuest(t, m, runtime.GuestConfig{Mode: runtime.ModeFresh})
	another, err := fresh.Another(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answers(another)
	if err := another.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// imageFiles returns how many descriptors of images this process has open; 0 where images have
// none.
func imageFiles(t *testing.T) (n int) {
	t.Helper()
	found, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range found {
		if target, err := os.Readlink(path); err == nil && strings.Contains(target, "wasm-image") {
			n++
		}
	}
	return n
}
