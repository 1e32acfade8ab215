package runtime_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	"policy-server/internal/testing/guests"
	"policy-server/runtime"
)

// newHeld returns a guest whose command is held at its first read.
func newHeld(t testing.TB, m *runtime.Module, cfg runtime.GuestConfig) *runtime.Guest {
	t.Helper()
	g := newGuest(t, m, cfg)
	warmUp(t, g, runtime.Validate, "{}")
	if stats := g.Stats(); stats.Mode != runtime.ModeReset {
		t.Fatalf("runs fresh: %s", stats.Reason)
	}
	return g
}

// A command must end when the context of its own request does, though the call that runs it began
// with another.
func TestCommandDeadline(t *testing.T) {
	g := newHeld(t, compile(t, open(t, testLimits), "wasi_obeys"), runtime.GuestConfig{})
	first, cancel := context.WithCancel(t.Context())
	if got := describe(g.Call(first, ask(runtime.Validate, []byte("-")), nil)); got != nothingKept {
		t.Errorf("got %s, want %s", got, nothingKept)
	}
	cancel()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		got := describe(g.Call(ctx, ask(runtime.Validate, []byte("l")), nil))
		cancel()
		if got != timedOut {
			t.Errorf("got %s, want %s", got, timedOut)
		}
		for range 2 {
			if got := describe(g.Call(t.Context(), ask(runtime.Validate, []byte("-")), nil)); got != nothingKept {
				t.Errorf("got %s, want %s", got, nothingKept)
			}
		}
	}
	if got := g.Stats(); got.Discards["interrupt"] != 3 || got.Resets != 7 {
		t.Errorf("got %+v, want 3 instances discarded as interrupted and 7 resets", got)
	}
}

// A command's host calls belong to the evaluation they are made in: its host, its context, its
// stdin.
func TestCommandHostCalls(t *testing.T) {
	type key struct{}
	g := newHeld(t, compile(t, open(t, testLimits), "wasi_host_call"), runtime.GuestConfig{WarmUpHost: echoHost})
	for i := range 5 {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, i))
		got := describe(g.Call(ctx, ask(runtime.Validate, []byte("{}")),
			func(ctx context.Context, _, _ string, payload []byte) ([]byte, error) {
				return fmt.Appendf(nil, "%s %v of %d", payload, ctx.Value(key{}), i), ctx.Err()
			}))
		cancel()
		if want := fmt.Sprintf(`answer hello %d of %d printed ""`, i, i); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	stuck, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got := describe(g.Call(stuck, ask(runtime.Validate, []byte("{}")), func(ctx context.Context, _, _ string, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	if got != timedOut {
		t.Errorf("got %s, want %s", got, timedOut)
	}
	if got := g.Stats(); got.Resets != 5 {
		t.Errorf("got %+v, want 5 resets", got)
	}
}

// One run of a command serves many requests, but not any number: its stack gets longer with each.
func TestCommandWearsOut(t *testing.T) {
	g := newHeld(t, compile(t, open(t, testLimits), "wasi_accepts"), runtime.GuestConfig{})
	const calls = 10_000
	for range calls {
		if _, err := g.Call(t.Context(), ask(runtime.Validate, []byte("{}")), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.Stats(); got.Discards["worn"] != calls/4096 || got.Resets != calls-calls/4096 || got.Instances != 1 {
		t.Errorf("got %+v, want an instance to serve 4096 calls", got)
	}
}

// A run that is held ends with its guest, and before that when nobody needs it.
func TestCommandEnds(t *testing.T) {
	m := compile(t, open(t, testLimits), "wasi_accepts")
	goroutines := goruntime.NumGoroutine()
	g := newHeld(t, m, runtime.GuestConfig{Idle: 10 * time.Millisecond})
	call := func() {
		if _, err := g.Call(t.Context(), ask(runtime.Validate, []byte("{}")), nil); err != nil {
			t.Error(err)
		}
	}
	call()
	eventually(t, func() bool { return g.Stats().Instances == 0 && goruntime.NumGoroutine() <= goroutines })
	call()
	if err := g.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return goruntime.NumGoroutine() <= goroutines })
}

// Only the operation that was held comes from the image; the other one has other arguments.
func TestCommandArguments(t *testing.T) {
	g := newHeld(t, compile(t, open(t, testLimits), "wasi_counts_calls"), runtime.GuestConfig{})
	for range 3 {
		expect(t, g, runtime.Validate, firstCall)
		expect(t, g, runtime.ValidateSettings, valid)
	}
	if got := g.Stats(); got.Resets != 3 || got.Instances != 1 {
		t.Errorf("got %+v, want 3 resets of one instance", got)
	}
}

// A command that does not get to its first read in time must not be taken for one that cannot be
// held.
func TestCommandHeldTooLate(t *testing.T) {
	g := newHeld(t, compile(t, open(t, testLimits), "wasi_polls_before_reading"), runtime.GuestConfig{Idle: time.Millisecond})
	eventually(t, func() bool { return g.Stats().Instances == 0 })        // so that the call needs a new one
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Microsecond) // it sleeps for ten times as long
	defer cancel()
	if _, err := g.Call(ctx, ask(runtime.Validate, nil), nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	expect(t, g, runtime.Validate, accepted)
	if got := g.Stats(); got.Mode != runtime.ModeReset || got.Resets != 1 {
		t.Errorf("got %+v, want one reset", got)
	}
}

// A command in Go, as its compiler builds it, answers the same in both modes, and each request for
// itself.
func TestGoCommand_hammer(t *testing.T) {
	m, err := open(t, testLimits).Compile(t.Context(), guests.Command(t), runtime.WASI)
	if err != nil {
		t.Fatal(err)
	}
	type exchange struct{ payload, want string }
	exchangesOf := func(uid string) []exchange {
		return []exchange{
			{fmt.Sprintf(`{"request":{"uid":%q}}`, uid), `answer {"accepted":true}` + "\n" + ` printed ""`},
			{fmt.Sprintf(`{"request":{"uid":%q,"object":{"spec":{"containers":[{"securityContext":{"privileged":true}}]}}}}`, uid),
				fmt.Sprintf(`answer {"accepted":false,"message":"privileged container in %s"}`, uid) + "\n" + ` printed ""`},
			{fmt.Sprintf(`{"request":{"uid":%q},"settings":{"ask":"echo/say"}}`, uid),
				fmt.Sprintf(`answer {"accepted":true,"message":%q}`, uid) + "\n" + ` printed ""`},
			{fmt.Sprintf(`{"request":{"uid":%q},"settings":{"ask":"echo/shout"}}`, uid),
				`exit: code 1 trap "" stderr "unknown capability: echo/shout"`},
			{uid, `exit: code 1 trap "" stderr "the request is not JSON"`},
		}
	}
	for _, mode := range []runtime.Mode{runtime.ModeReset, runtime.ModeFresh} {
		t.Run(string(mode), func(t *testing.T) {
			g := newGuest(t, m, runtime.GuestConfig{Mode: mode})
			warmUp(t, g, runtime.ValidateSettings, "{}")
			warmUp(t, g, runtime.Validate, `{"request":{"uid":"warm-up"}}`)
			warmUp(t, g, runtime.Validate, `{"request":{"uid":"another"}}`)
			if stats := g.Stats(); stats.Mode != mode {
				t.Fatalf("mode is %s: %s", stats.Mode, stats.Reason)
			}
			var callers sync.WaitGroup
			for caller := range 4 {
				callers.Go(func() {
					for call := range 8 {
						for _, x := range exchangesOf(fmt.Sprintf("%d-of-%d", call, caller)) {
							if got := describe(g.Call(t.Context(), ask(runtime.Validate, []byte(x.payload)), echoHost)); got != x.want {
								t.Errorf("%s: got  %s\nwant %s", x.payload, got, x.want)
							}
						}
						expect(t, g, runtime.ValidateSettings, `answer {"valid":true}`+"\n"+` printed ""`)
					}
				})
			}
			callers.Wait()
		})
	}
}

// An instance that waits must not hold on to the stack of a call that went deep.
func TestGuestGivesUpDeepStacks(t *testing.T) {
	for _, guest := range []string{"recurses_deeply", "wasi_recurses_deeply"} {
		t.Run(guest, func(t *testing.T) {
			g := newHeld(t, compile(t, open(t, testLimits), guest), runtime.GuestConfig{})
			before := heapInUse()
			expect(t, g, runtime.Validate, accepted)
			if got := g.Stats(); got.Idle != 1 {
				t.Fatalf("got %+v, want an idle instance", got)
			}
			// The frames take megabytes.
			if kept := heapInUse() - before; kept > 4<<20 {
				t.Errorf("an idle instance holds on to %d bytes", kept)
			}
		})
	}
}

// heapInUse is what is left after collecting garbage.
func heapInUse() int64 {
	goruntime.GC()
	goruntime.GC() // a second time for what finalizers held
	var stats goruntime.MemStats
	goruntime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
