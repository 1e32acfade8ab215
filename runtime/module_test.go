package runtime_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"testing"
	"time"

	"policy-server/runtime"
)

func TestCallOperations(t *testing.T) {
	e := open(t, runtime.Config{})
	for _, tc := range []struct {
		name, guest string
		op          runtime.Operation
		want        string
	}{
		{"waPC has a protocol version", "accepts", runtime.ProtocolVersion, `answer "v1" printed ""`},
		{"WASI has none", "wasi_accepts", runtime.ProtocolVersion,
			`error: operation "protocol_version": not known to WASI policies; known: validate, validate_settings`},
		{"unknown", "accepts", "mutate",
			`error: operation "mutate": unknown; known: validate, validate_settings, protocol_version`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := compile(t, e, tc.guest)
			if got := describe(m.Call(t.Context(), ask(tc.op, nil), nil)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestCallHost(t *testing.T) {
	e := open(t, runtime.Config{})
	fails := func(context.Context, string, string, []byte) ([]byte, error) { return nil, errors.New("no luck") }
	silent := func(context.Context, string, string, []byte) ([]byte, error) { return nil, nil }
	panics := func(context.Context, string, string, []byte) ([]byte, error) { panic("out of luck") }
	panicsWithFault := func(_ context.Context, _, _ string, payload []byte) ([]byte, error) {
		return payload[:0:0][:1], nil
	}
	for _, tc := range []struct {
		name, guest string
		host        runtime.HostCall
		want        string
	}{
		{"waPC, none offered", "unknown_host_call", nil, `call: host calls are not available here printed ""`},
		{"waPC, error", "unknown_host_call", fails, `call: no luck printed ""`},
		{"waPC, empty response", "echoes", silent, `answer  printed ""`},
		{"waPC, panic", "echoes", panics, `call: host call "echo" "say" panicked: out of luck printed ""`},
		{"waPC, runtime error", "echoes", panicsWithFault,
			`call: host call "echo" "say" panicked: runtime error: slice bounds out of range [:1] with capacity 0 printed ""`},
		{"WASI, none offered", "wasi_host_call", nil, `exit: code 1 trap "" stderr "host calls are not available here"`},
		{"WASI, error", "wasi_host_call", fails, `exit: code 1 trap "" stderr "no luck"`},
		{"WASI, empty response", "wasi_host_call", silent, `answer  printed ""`},
		{"WASI, panic", "wasi_host_call", panics,
			`exit: code 0 trap "host call \"echo\" \"say\" panicked: out of luck" stderr ""`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := compile(t, e, tc.guest)
			for range 2 {
				if got := describe(m.Call(t.Context(), ask(runtime.Validate, []byte("{}")), tc.host)); got != tc.want {
					t.Errorf("got  %s\nwant %s", got, tc.want)
				}
			}
		})
	}
}

// A guest must neither go on after a host call that outlived the context, nor be called with a
// context that is done.
func TestCallInterrupted(t *testing.T) {
	e := open(t, runtime.Config{})
	slow := func(ctx context.Context, _, _ string, payload []byte) ([]byte, error) {
		<-ctx.Done()
		return payload, nil
	}
	for _, guest := range []string{"echoes", "wasi_host_call"} {
		m := compile(t, e, guest)
		t.Run(guest+" in a host call", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := m.Call(ctx, ask(runtime.Validate, []byte("{}")), slow)
			if want := "guest interrupted during call: context deadline exceeded"; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not unwrap to the context's error", err)
			}
		})
		t.Run(guest+" too late", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := m.Call(ctx, ask(runtime.Validate, []byte("{}")), slow)
			var interrupted *runtime.InterruptedError
			if !errors.As(err, &interrupted) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The bytes handed over remain the caller's: a guest that reads and overwrites its stdin or memory
// changes nothing.
func TestCallLeavesPayloadAlone(t *testing.T) {
	e := open(t, runtime.Config{})
	for _, guest := range []string{"echoes", "wasi_host_call"} {
		t.Run(guest, func(t *testing.T) {
			backing := []byte(`{"request":1} and what lies behind`)
			before := string(backing)
			m := compile(t, e, guest)
			if _, err := m.Call(t.Context(), ask(runtime.Validate, backing[:13]), echoHost); err != nil {
				t.Fatal(err)
			}
			if string(backing) != before {
				t.Errorf("payload became %q", backing)
			}
		})
	}
}

func TestCallLargePayload(t *testing.T) {
	m := compile(t, open(t, runtime.Config{HostCallLimit: 9 << 20}), "echoes")
	payload := make([]byte, 8<<20)
	for i := range payload {
		payload[i] = byte(i % 251)
	}
	answer, err := m.Call(t.Context(), ask(runtime.Validate, payload), echoHost)
	if err != nil {
		t.Fatal(err)
	}
	if string(answer.Payload) != string(payload) {
		t.Errorf("answer of %d bytes differs from the payload of %d", len(answer.Payload), len(payload))
	}
}

func TestClose(t *testing.T) {
	for _, tc := range []struct {
		name  string
		close func(context.Context, *runtime.Engine, *runtime.Module) error
	}{
		{"module", func(ctx context.Context, _ *runtime.Engine, m *runtime.Module) error { return m.Close(ctx) }},
		{"engine", func(ctx context.Context, e *runtime.Engine, _ *runtime.Module) error { return e.Close(ctx) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := open(t, runtime.Config{})
			m := compile(t, e, "echoes")
			entered, proceed, outcome := make(chan struct{}), make(chan struct{}), make(chan string)
			go func() {
				outcome <- describe(m.Call(t.Context(), ask(runtime.Validate, []byte("hi")),
					func(_ context.Context, _, _ string, payload []byte) ([]byte, error) {
						close(entered)
						<-proceed
						return payload, nil
					}))
			}()
			<-entered
			done, cancel := context.WithCancel(t.Context())
			cancel()
			if err := tc.close(done, e, m); !errors.Is(err, context.Canceled) {
				t.Errorf("close during a call: got %v, want the context's error", err)
			}
			close(proceed)
			if got, want := <-outcome, `answer hi printed ""`; got != want {
				t.Errorf("the running call: got %s, want %s", got, want)
			}
			for range 2 {
				if err := tc.close(t.Context(), e, m); err != nil {
					t.Errorf("close: %v", err)
				}
			}
			if _, err := m.Call(t.Context(), ask(runtime.Validate, nil), nil); !errors.Is(err, runtime.ErrClosed) {
				t.Errorf("call after close: got %v, want %v", err, runtime.ErrClosed)
			}
		})
	}
}

func TestCompileAfterClose(t *testing.T) {
	e := open(t, runtime.Config{})
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Compile(t.Context(), readGuest(t, "accepts"), runtime.WaPC); !errors.Is(err, runtime.ErrClosed) {
		t.Errorf("got %v, want %v", err, runtime.ErrClosed)
	}
}

// Each caller must get the answer to its own request, whatever others do to the same modules at the
// same time.
func TestCall_hammer(t *testing.T) {
	e := open(t, runtime.Config{})
	echoes, counts, traps := compile(t, e, "echoes"), compile(t, e, "counts_calls"), compile(t, e, "traps_after_print")
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for i := range 25 {
				payload := fmt.Sprintf("caller %d, call %d", caller, i)
				for _, tc := range []struct {
					m    *runtime.Module
					want string
				}{
					{echoes, fmt.Sprintf("answer %s printed %q", payload, "")},
					{counts, `answer {"accepted":true,"message":"call no. 1"} printed ""`},
					{traps, `call: wasm trap: unreachable printed "panic: out of luck :-("`},
				} {
					if got := describe(tc.m.Call(t.Context(), ask(runtime.Validate, []byte(payload)), echoHost)); got != tc.want {
						t.Errorf("got  %s\nwant %s", got, tc.want)
					}
				}
			}
		})
	}
	callers.Wait()
}

// What a call used must be gone after it: memory that guests filled up, and goroutines that watched
// deadlines.
func TestCallsLeaveNothingBehind(t *testing.T) {
	e := open(t, runtime.Config{MemoryLimit: 16 << 20})
	grows, loops := compile(t, e, "grows_memory"), compile(t, e, "loops_forever")
	goroutines := goruntime.NumGoroutine()
	const calls = 30
	for range calls {
		if got := describe(grows.Call(t.Context(), ask(runtime.Validate, nil), nil)); got != accepted {
			t.Fatalf("got %s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if got, err := loops.Call(ctx, ask(runtime.Validate, nil), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %s", describe(got, err))
		}
		cancel()
	}
	goruntime.GC()
	goruntime.GC() // a second time for what finalizers held
	var stats goruntime.MemStats
	goruntime.ReadMemStats(&stats)
	if limit := uint64(calls * 16 << 20 / 4); stats.HeapAlloc > limit {
		t.Errorf("%d bytes in use after %d calls; want at most %d", stats.HeapAlloc, calls, limit)
	}
	// A watcher ends a moment after the call it watched.
	for deadline := time.Now().Add(10 * time.Second); goruntime.NumGoroutine() > goroutines; goruntime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", goruntime.NumGoroutine(), goroutines)
		}
	}
}
