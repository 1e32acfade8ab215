package runtime_test

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"policy-server/runtime"
)

const (
	accepted = `answer {"accepted":true} printed ""`
	valid    = `answer {"valid":true} printed ""`

	firstCall = `answer {"accepted":true,"message":"call no. 1"} printed ""`
	// What the guest obeys answers as long as nothing is left of earlier calls.
	nothingKept = `answer {"accepted":true,"message":"memory 0 global 0 size 0"} printed ""`

	timedOut      = `interrupted during call: context deadline exceeded printed ""`
	timedOutEarly = `interrupted during start: context deadline exceeded printed ""`
)

// corpus says what comes of a validate call to each guest of testdata, and of validate_settings
// where that differs from valid.
var corpus = []struct {
	guest    string
	want     string
	settings string
}{
	{guest: "accepts", want: accepted},
	{guest: "rejects", want: `answer {"accepted":false,"message":"refused by the test guest","code":403} printed ""`},
	{guest: "initializes", want: accepted},
	{guest: "mutates", want: `answer {"accepted":true,"mutated_object":{"mutated":true}} printed ""`},
	{guest: "exits_zero_in_start", want: accepted},
	{guest: "prints_to_console", want: `answer {"accepted":true} printed "hello\nhello"`, settings: valid},
	{guest: "echoes", want: `answer {"request":1} printed ""`},
	{guest: "counts_calls", want: firstCall},
	{guest: "counts_calls_in_memory", want: firstCall},
	{guest: "counts_calls_in_fixed_memory", want: firstCall},
	{guest: "counts_calls_in_size", want: firstCall},
	{guest: "counts_calls_in_table", want: firstCall},
	{guest: "grows_to_its_maximum", want: firstCall},
	{guest: "grows_beyond_its_maximum", want: `answer {"accepted":true,"message":"1 then 3, more: 0000"} printed ""`},
	{guest: "grows_to_its_maximum_in_init", want: firstCall},
	{guest: "keeps_request", want: `answer {"request":1} printed ""`},
	{guest: "hides_request", want: "answer \x00\x00\x00\x00\x00\x00\x00\x00 printed \"\""},
	{guest: "closes_stdout", want: `answer {"accepted":true} printed "hello\n"`},
	{guest: "calls_host_in_init", want: accepted},
	{guest: "calls_host_often", want: accepted},
	{guest: "obeys", want: nothingKept},
	{guest: "scribbles", want: "answer \x00\x00\x00\x00\x00\x00\x00\x00 printed \"\""},
	{guest: "answers_not_json", want: `answer this is not JSON printed ""`},
	{guest: "settings_invalid", want: accepted,
		settings: `answer {"valid":false,"message":"no settings please this guest"} printed ""`},
	{guest: "grows_memory", want: accepted},
	{guest: "grows_table", want: accepted},
	{guest: "prints_much", want: `answer {"accepted":true} printed "[61449 bytes cut] ` +
		strings.Repeat("*", 4096-9) + `last word"`},

	{guest: "error_of_a_megabyte", want: "call: " + strings.Repeat("\x00", 1<<20) + ` printed ""`},
	{guest: "guest_error", want: `call:  out of luck  printed ""`},
	{guest: "error_not_utf8", want: "call: ab\uFFFDc printed \"\""},
	{guest: "error_without_text", want: `call: No error message set for call failure printed ""`},
	{guest: "no_response", want: `call: No error message OR response set for call success printed ""`},
	{guest: "answers_too_much", want: `call: response of 16777217 bytes exceeds the limit of 16777216 bytes printed ""`},
	{guest: "traps_without_memory", want: `call: wasm trap: unreachable printed ""`},
	{guest: "traps", want: `call: wasm trap: unreachable printed ""`},
	{guest: "traps_after_print", want: `call: wasm trap: unreachable printed "panic: out of luck :-("`},
	{guest: "traps_in_settings", want: accepted, settings: `call: wasm trap: unreachable printed ""`},
	{guest: "exits", want: `call: guest exited with code 3 printed ""`},
	{guest: "recurses_deeply", want: accepted},
	{guest: "recurses_forever", want: `call: wasm trap: stack overflow printed ""`},
	{guest: "bad_pointer", want: `call: out of bounds memory access: 16 bytes at 0x7fffffff printed ""`},
	{guest: "bad_request_pointer", want: `call: out of bounds memory access: 13 bytes at 0xffffffff printed ""`},
	{guest: "bad_host_call_pointer", want: `call: out of bounds memory access: 16 bytes at 0x7fffffff printed ""`},
	{guest: "no_memory", want: `call: Cannot find 'mem' export printed ""`,
		settings: `call: Cannot find 'mem' export printed ""`},
	{guest: "unknown_host_call", want: `call: unknown capability: no-such-capability/none printed ""`},
	{guest: "reads_namespace", want: `call: unknown capability: kubernetes/get_resource printed ""`},
	{guest: "unknown_binding", want: `call: unknown binding: elsewhere printed ""`},
	{guest: "names_long_path", want: `call: path of 4097 bytes exceeds the limit of 4096 printed ""`},
	{guest: "polls_too_much", want: `call: poll of 300000 subscriptions exceeds the limit of 1024 printed ""`},
	{guest: "sends_too_much", want: `call: host call of 4194327 bytes exceeds the limit of 4194304 bytes printed ""`},

	{guest: "exits_in_start", want: `start: Initialization failed: guest exited with code 1 printed ""`,
		settings: `start: Initialization failed: guest exited with code 1 printed ""`},
	{guest: "traps_in_init", want: `start: Initialization failed: wasm trap: unreachable printed ""`,
		settings: `start: Initialization failed: wasm trap: unreachable printed ""`},

	{guest: "loops_forever", want: timedOut},
	{guest: "recurses_as_tree", want: timedOut},
	{guest: "recurses_and_loops", want: timedOut},
	{guest: "fills_memory_forever", want: timedOut},
	{guest: "draws_randomness_forever", want: timedOut},
	{guest: "prints_nothing_forever", want: timedOut},
	{guest: "reads_nothing_forever", want: timedOut},
	{guest: "polls_forever", want: timedOut},
	{guest: "sleeps", want: timedOut},
	{guest: "loops_in_start", want: timedOutEarly, settings: timedOutEarly},

	{guest: "unknown_import", want: `compile: unknown import: function "env" "abort"; ` +
		`known modules: wapc, wasi_snapshot_preview1, wasi_unstable`},
	{guest: "imports_memory", want: `compile: unknown import: memory "env" "memory"; ` +
		`known modules: wapc, wasi_snapshot_preview1, wasi_unstable`},
	{guest: "mistyped_import", want: `compile: import "wasi_snapshot_preview1" "proc_exit" has type (i64) -> (); ` +
		`the host's is (i32) -> ()`},
	{guest: "no_guest_call", want: `compile: Guest call function (__guest_call) not exported by wasm module.`},
	{guest: "mistyped_guest_call", want: `compile: Guest call function (__guest_call) not exported by wasm module.`},
	{guest: "declares_much_memory", want: `compile: memory starts with 65536 pages of 64 KiB; ` +
		`the limit is 512 pages, 33554432 bytes`},
	{guest: "declares_much_table", want: `compile: tables start with 100000000 elements; the limit is 1048576`},

	{guest: "wasi_accepts", want: `answer {"accepted":true} printed " hi \n "`},
	{guest: "wasi_exits_zero", want: accepted},
	{guest: "wasi_exits", want: `exit: code 1 trap "" stderr "nope"`},
	{guest: "wasi_traps", want: `exit: code 0 trap "wasm trap: unreachable" stderr "ouch"`},
	{guest: "wasi_answers_too_much", want: `exit: code 0 trap "answer exceeds the limit of 16777216 bytes" stderr ""`},
	{guest: "wasi_hoards_answers", want: `exit: code 0 trap "host call while 4259840 bytes of stdin are unread" stderr ""`},
	{guest: "wasi_loops_forever", want: timedOut},
	{guest: "wasi_host_call", want: `answer hello printed ""`},
	{guest: "wasi_javy_host_call", want: `answer hello printed ""`},
	{guest: "wasi_counts_calls", want: firstCall},
	{guest: "wasi_counts_calls_in_memory", want: firstCall},
	{guest: "wasi_counts_calls_in_fixed_memory", want: firstCall},
	{guest: "wasi_counts_calls_in_size", want: firstCall},
	{guest: "wasi_counts_calls_in_table", want: firstCall},
	{guest: "wasi_counts_calls_in_local", want: firstCall},
	{guest: "wasi_keeps_request", want: `answer {"request":1} printed ""`},
	{guest: "wasi_hides_request", want: "answer \x00\x00\x00\x00\x00\x00\x00\x00 printed \"\""},
	{guest: "wasi_obeys", want: nothingKept},
	{guest: "wasi_reads_twice", want: `answer equest":1} printed ""`},
	{guest: "wasi_reads_in_pieces", want: `answer {"request":1} printed ""`},
	{guest: "wasi_reads_into_several_buffers", want: `answer request printed ""`},
	{guest: "wasi_reads_out_of_bounds", want: `exit: code 21 trap "" stderr ""`},
	{guest: "wasi_reads_as_preview0", want: accepted},
	{guest: "wasi_reads_in_start_function", want: `answer {"request":1} printed ""`},
	{guest: "wasi_closes_stdin", want: accepted},
	{guest: "wasi_never_reads", want: accepted},
	{guest: "wasi_recurses_before_reading", want: accepted},
	{guest: "wasi_polls_before_reading", want: accepted},
	{guest: "wasi_prints_before_reading", want: `answer {"accepted":true} printed "hello\n"`,
		settings: `answer {"valid":true} printed "hello\n"`},
	{guest: "wasi_calls_host_before_reading", want: `answer hello printed ""`},
	{guest: "wasi_exits_before_reading", want: `exit: code 4 trap "" stderr "too early"`,
		settings: `exit: code 4 trap "" stderr "too early"`},
	{guest: "wasi_traps_before_reading", want: `exit: code 0 trap "wasm trap: unreachable" stderr ""`,
		settings: `exit: code 0 trap "wasm trap: unreachable" stderr ""`},
	{guest: "wasi_loops_before_reading", want: timedOut, settings: timedOut},
	{guest: "wasi_sleeps", want: timedOut},
	{guest: "wasi_recurses_deeply", want: accepted},
	{guest: "wasi_recurses_forever", want: `exit: code 0 trap "wasm trap: stack overflow" stderr ""`},
	{guest: "wasi_no_start", want: "compile: cannot find `_start` function inside of module: " +
		`WASI guests must be commands, not reactors`},
}

// caller is what can be called: a module, or a guest of it.
type caller interface {
	Call(ctx context.Context, q runtime.Question, host runtime.HostCall) (runtime.Answer, error)
}

// TestCorpus calls each guest several times, so that whatever it does is seen to cost nothing but
// its own call, and in each way there is to come by an instance.
func TestCorpus(t *testing.T) {
	for _, way := range []struct {
		name string
		of   func(t *testing.T, m *runtime.Module, limit time.Duration) caller
	}{
		{"module", func(_ *testing.T, m *runtime.Module, _ time.Duration) caller { return m }},
		{"reset", func(t *testing.T, m *runtime.Module, _ time.Duration) caller {
			return newGuest(t, m, runtime.GuestConfig{})
		}},
		{"warmed up", func(t *testing.T, m *runtime.Module, limit time.Duration) caller {
			g := newGuest(t, m, runtime.GuestConfig{})
			warmUpWithin(t, limit, g, runtime.ValidateSettings, "{}")
			warmUpWithin(t, limit, g, runtime.Validate, `{"request":2}`)
			return g
		}},
		{"fresh", func(t *testing.T, m *runtime.Module, _ time.Duration) caller {
			return newGuest(t, m, runtime.GuestConfig{Mode: runtime.ModeFresh})
		}},
	} {
		e := open(t, testLimits)
		for _, tc := range corpus {
			t.Run(way.name+"/"+tc.guest, func(t *testing.T) {
				t.Parallel()
				m, err := e.Compile(t.Context(), readGuest(t, tc.guest), protocolOf(tc.guest))
				if err != nil {
					if got := describe(runtime.Answer{}, err); got != tc.want {
						t.Fatalf("got  %s\nwant %s", got, tc.want)
					}
					return
				}
				settings := cmp.Or(tc.settings, valid)
				c := way.of(t, m, limitOf(tc.want))
				for range 3 {
					expect(t, c, runtime.Validate, tc.want)
					expect(t, c, runtime.ValidateSettings, settings)
				}
			})
		}
	}
}

func expect(t *testing.T, c caller, op runtime.Operation, want string) {
	t.Helper()
	limit := limitOf(want)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	got := describe(c.Call(ctx, ask(op, []byte(`{"request":1}`)), echoHost))
	// A busy machine may use up the time of a guest that never ends before it was called.
	if got != want && !(want == timedOut && got == timedOutEarly) {
		t.Errorf("%s:\ngot  %s\nwant %s", op, got, want)
	}
	if late := time.Since(began) - limit; late > 20*time.Second {
		t.Errorf("%s: returned %s after its deadline", op, late)
	}
}

// limitOf is how long a guest may take to come to an outcome.
func limitOf(want string) time.Duration {
	if strings.Contains(want, "deadline exceeded") {
		return 200 * time.Millisecond
	}
	return time.Minute
}

// TestCorpusIsComplete fails when a guest lacks a case, its text or its binary.
func TestCorpusIsComplete(t *testing.T) {
	// What comes of these differs each time; see TestSurroundings, TestGuestMode and
	// TestGuestStopsInTime.
	known := []string{"looks_around", "random_answer", "wasi_random_answer", "logs_forever"}
	for _, tc := range corpus {
		known = append(known, tc.guest)
	}
	slices.Sort(known)
	for _, extension := range []string{".wat", ".wasm"} {
		files, err := filepath.Glob("testdata/*" + extension)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, file := range files {
			found = append(found, strings.TrimSuffix(filepath.Base(file), extension))
		}
		slices.Sort(found)
		if !slices.Equal(found, known) {
			t.Errorf("%s files: %v\ncases: %v", extension, found, known)
		}
	}
}
