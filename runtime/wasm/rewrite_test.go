package wasm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero/api"

	"policy-server/runtime/wasm"
)

func readModule(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rewrite(t testing.TB, code []byte, o wasm.Options) wasm.Rewritten {
	t.Helper()
	r, err := wasm.Rewrite(code, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMeterStops holds that nothing runs on without the host being asked.
func TestMeterStops(t *testing.T) {
	for _, tc := range []struct {
		export string
		params []uint64
	}{
		{"rounds", []uint64{1 << 31}},
		{"rounds_with_parameters", []uint64{1 << 31}},
		{"fibonacci", []uint64{60}},
		{"loops", nil},
		{"loops_by_table", nil},
		{"recurses", nil},
		{"recurses_by_table", nil},
		{"tail_calls", nil},
		{"tail_calls_by_table", nil},
		{"fills_on", nil},
	} {
		t.Run(tc.export, func(t *testing.T) {
			r := rewrite(t, readModule(t, "spends"), wasm.Options{Meter: meter(100)})
			m, err := startMachine(t, r.Code, r.Fuel, 100, 20)
			if err != nil {
				t.Fatal(err)
			}
			if outcome, err := m.call(tc.export, tc.params...); !errors.Is(err, errOutOfFuel) {
				t.Errorf("got %s after %d ticks, want the meter to stop it", outcome, m.ticks)
			}
		})
	}
}

// TestMeterCounts holds what is charged: the number of ticks tells, to the unit.
func TestMeterCounts(t *testing.T) {
	for _, tc := range []struct {
		name, export, want string
		params             []uint64
		ticks              int
	}{
		{"one round a unit, sixteen at once", "rounds", "[1000]", []uint64{1000}, 63}, // more than a tick gives, each time
		{"as many rounds as are paid for", "rounds", "[16]", []uint64{16}, 1},
		{"one more", "rounds", "[17]", []uint64{17}, 2},
		{"rounds of a loop with parameters", "rounds_with_parameters", "[1000]", []uint64{1000}, 63},
		{"calls", "fibonacci", "[55]", []uint64{10}, 16}, // 177 calls
		{"a small function that calls nothing", "byte", "[0]", []uint64{0}, 0},
		{"bytes at the price of many", "fills", "[]", []uint64{4 << 10}, 1}, // 17 units
		{"many bytes", "fills", "[]", []uint64{64 << 10}, 2},                // 256 more
		{"many bytes copied", "copies", "[]", []uint64{60 << 10}, 2},
		{"few bytes from a segment", "inits", "[]", []uint64{3}, 1},
		{"growth", "grows", "[1]", nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rewrite(t, readModule(t, "spends"), wasm.Options{Meter: meter(10)})
			m, err := startMachine(t, r.Code, r.Fuel, 10, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := m.call(tc.export, tc.params...); got != tc.want {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
			if m.ticks != tc.ticks {
				t.Errorf("got %d ticks, want %d", m.ticks, tc.ticks)
			}
		})
	}
}

// TestState holds that a host can write back all state: it is stepped, put back, and steps the same
// way again.
func TestState(t *testing.T) {
	for _, tc := range []struct {
		name  string
		meter *wasm.Meter
	}{{"plain", nil}, {"metered", meter(1000)}} {
		t.Run(tc.name, func(t *testing.T) {
			r := rewrite(t, readModule(t, "state"), wasm.Options{Meter: tc.meter})
			want := []wasm.MutableGlobal{
				{Export: "policy-server.global.0", Type: wasm.I32, Added: true},
				{Export: "named", Type: wasm.I64},
				{Export: "policy-server.global.3", Type: wasm.F64, Added: true},
			}
			if !slices.Equal(r.Globals, want) {
				t.Errorf("globals: got %v, want %v", r.Globals, want)
			}
			if r.Memory != "memory" || len(r.Unsafe) > 0 || (r.Fuel != "") != (tc.meter != nil) {
				t.Errorf("got memory %q, unsafe %q, fuel %q", r.Memory, r.Unsafe, r.Fuel)
			}
			m, err := startMachine(t, r.Code, r.Fuel, 1000, 10)
			if err != nil {
				t.Fatal(err)
			}
			restore := image(m, r)
			first, err := m.call("step")
			if err != nil {
				t.Fatal(err)
			}
			if second, _ := m.call("step"); second == first {
				t.Error("the guest has no state")
			}
			restore()
			if again, _ := m.call("step"); again != first {
				t.Errorf("after putting the state back: got %s, want %s", again, first)
			}
		})
	}
}

func image(m *machine, r wasm.Rewritten) (restore func()) {
	memory := m.module.ExportedMemory(r.Memory)
	bytes, _ := memory.Read(0, memory.Size())
	bytes = slices.Clone(bytes)
	values := make([]uint64, len(r.Globals))
	for i, g := range r.Globals {
		values[i] = m.module.ExportedGlobal(g.Export).Get()
	}
	return func() {
		memory.Write(0, bytes)
		for i, g := range r.Globals {
			m.module.ExportedGlobal(g.Export).(api.MutableGlobal).Set(values[i])
		}
	}
}

func TestUnsafe(t *testing.T) {
	kinds := func(reasons []string) []string {
		var kinds []string
		for _, r := range reasons {
			kind, where, _ := strings.Cut(r, " in function ")
			var function, offset int
			if n, _ := fmt.Sscanf(where, "%d at offset 0x%x", &function, &offset); n != 2 {
				kind = r
			}
			kinds = append(kinds, kind)
		}
		return kinds
	}
	later := []string{"table.set", "table.grow", "table.fill", "table.copy", "table.init", "elem.drop",
		"data.drop", "global.set of global 0 of type funcref", "global.set of global 1 of type v128", "table.set"}
	all := slices.Concat([]string{"ref.func", "table.set"}, later[:8], []string{"2 more instructions of this kind"})
	code := readModule(t, "writes_tables")
	if got := kinds(rewrite(t, code, wasm.Options{}).Unsafe); !slices.Equal(got, all) {
		t.Errorf("got %q, want %q", got, all)
	}
	got := kinds(rewrite(t, code, wasm.Options{StartUp: []string{"_initialize"}}).Unsafe)
	if !slices.Equal(got, later) {
		t.Errorf("with a start-up function: got %q, want %q", got, later)
	}
	for _, tc := range []struct {
		name, sections string
		o              wasm.Options
		want           []string
	}{
		{"nothing", "", wasm.Options{}, nil},
		{"imported table", section(2, "\x01\x01e\x01t\x01\x70\x00\x00"), wasm.Options{}, []string{`imported table "e" "t"`}},
		{"imported globals", section(2, "\x02\x01e\x01c\x03\x7f\x00\x01e\x01g\x03\x7f\x01"), wasm.Options{}, []string{`imported mutable global "e" "g"`}},
		{"imported memory", section(2, "\x01\x01e\x01m\x02\x00\x01"), wasm.Options{}, nil},
		{"imported memory that stays", section(2, "\x01\x01e\x01m\x02\x00\x01"), wasm.Options{KeepMemoryImport: true}, []string{`imported memory "e" "m"`}},
		{"a place", section(1, "\x01\x60\x00\x00") + section(3, "\x02\x00\x00") + section(7, "\x01\x01f\x00\x01") +
			section(10, "\x02\x02\x00\x0b\x05\x00\xfc\x0d\x00\x0b"), wasm.Options{}, []string{"elem.drop in function 1 at offset 0x22"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := rewrite(t, []byte(header+tc.sections), tc.o).Unsafe; !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	retry := []wasm.Retry{{Module: "env", Name: "read", Errno: -7}, {Module: "env", Name: "absent", Errno: 1}}
	for _, tc := range []struct {
		export string
		params []uint64
		asked  string
	}{
		{"direct", nil, "env read [3 4]"},
		{"tail", nil, "env read [3 4]"},
		{"indirect", nil, "env read [3 4]"},
		{"exported", []uint64{5, 6}, "env read [5 6]"},
		{"other", nil, "env other []"},
	} {
		for name, meter := range map[string]*wasm.Meter{"plain": nil, "metered": meter(1000)} {
			t.Run(tc.export+" "+name, func(t *testing.T) {
				r := rewrite(t, readModule(t, "retries"), wasm.Options{Retry: retry, Meter: meter})
				m, err := startMachine(t, r.Code, r.Fuel, 1000, 10)
				if err != nil {
					t.Fatal(err)
				}
				m.answer = func(string) uint64 {
					if len(m.calls) < 3 {
						return 0xfffffff9
					}
					return 9
				}
				got, err := m.call(tc.export, tc.params...)
				want, asked := "[9]", slices.Repeat([]string{tc.asked}, 3)
				if tc.export == "other" {
					want, asked = "[4294967289]", asked[:1]
				}
				if got != want || !slices.Equal(m.calls, asked) {
					t.Errorf("got %s (%v) after %q, want %s after %q", got, err, m.calls, want, asked)
				}
			})
		}
	}
	void := header + section(1, "\x01\x60\x00\x00") + section(2, "\x01\x03env\x04read\x00\x00")
	_, err := wasm.Rewrite([]byte(void), wasm.Options{Retry: retry})
	if want := `import section at offset 0x1a: function "env" "read" cannot be retried: its result is not one i32`; text(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	unused := header + section(1, "\x01\x60\x00\x01\x7f") + section(2, "\x01\x03env\x04read\x00\x00")
	if _, err := startMachine(t, rewrite(t, []byte(unused), wasm.Options{Retry: retry}).Code, "", 0, 0); err != nil {
		t.Errorf("a module of nothing but an import: %v", err)
	}
}

func TestExportNames(t *testing.T) {
	globals := section(6, "\x01\x7f\x01\x41\x00\x0b")
	memory := section(5, "\x01\x00\x01")
	for _, tc := range []struct {
		name, sections       string
		memory, fuel, global string
	}{
		{"none", memory + globals, "memory", "policy-server.fuel", "policy-server.global.0"},
		{"nothing to export", "", "", "policy-server.fuel", ""},
		{"memory under another name", memory + section(7, "\x01\x01m\x02\x00"), "m", "policy-server.fuel", ""},
		{"memory under two names", memory + section(7, "\x02\x01m\x02\x00\x06memory\x02\x00"), "memory", "policy-server.fuel", ""},
		{"memory is a global", memory + globals + section(7, "\x01\x06memory\x03\x00"), "policy-server.memory", "policy-server.fuel", "memory"},
		{"ours is taken", globals + section(7, "\x01\x12policy-server.fuel\x03\x00"), "", "_policy-server.fuel", "policy-server.fuel"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rewrite(t, []byte(header+tc.sections), wasm.Options{Meter: meter(1)})
			global := ""
			if len(r.Globals) > 0 {
				global = r.Globals[0].Export
			}
			if r.Memory != tc.memory || r.Fuel != tc.fuel || global != tc.global {
				t.Errorf("got %q, %q, %q; want %q, %q, %q", r.Memory, r.Fuel, global, tc.memory, tc.fuel, tc.global)
			}
			m, err := startMachine(t, r.Code, r.Fuel, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			if r.Memory != "" && m.module.ExportedMemory(r.Memory) == nil {
				t.Error("the memory is not exported")
			}
		})
	}
}

func TestNames(t *testing.T) {
	module := header + section(1, "\x01\x60\x00\x00") + section(2, "\x01\x01e\x01i\x00\x00") + section(3, "\x01\x00") +
		section(10, "\x01\x02\x00\x0b")
	names := "\x00\x02\x01m" + "\x01\x07\x02\x00\x01i\x01\x01f" + "\x02\x06\x01\x01\x01\x00\x01l" + "\x07\x04\x01\x00\x01g"
	moved := "\x00\x02\x01m" + "\x01\x07\x02\x00\x01i\x02\x01f" + "\x02\x06\x01\x02\x01\x00\x01l" + "\x07\x04\x01\x00\x01g"
	for _, tc := range []struct {
		name, sections, want string
		keep                 bool
	}{
		{"dropped", custom("name", names) + custom(".debug_line", "x"), "", false},
		{"kept", custom("name", names), custom("name", moved), true},
		{"debug sections go", custom("name", names) + custom(".debug_line", "x"), custom("name", moved), true},
		{"malformed", custom("name", "\x01\x07\x02\x00\x01i\x09\x01f"), "", true},
		{"cut", custom("name", "\x01\x07\x02"), "", true},
		{"none", "", "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			with := rewrite(t, []byte(module+tc.sections), wasm.Options{Meter: meter(1), KeepNames: tc.keep}).Code
			without := rewrite(t, []byte(module), wasm.Options{Meter: meter(1)}).Code
			if got, _ := strings.CutPrefix(string(with), string(without)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
