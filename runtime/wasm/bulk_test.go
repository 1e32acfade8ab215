package wasm_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

const (
	bulkPages    = 4
	bulkTable    = 200_000
	bulkSegment  = 150_000
	bulkElements = 150_000
)

// bulkModule exports each instruction that writes as many bytes or table elements as it is told to,
// one function each of three parameters; "digest" tells what the table holds. It has so many types
// that an index takes two bytes.
func bulkModule() []byte {
	const three = "\x20\x00\x20\x01\x20\x02"
	random := rand.NewChaCha8([32]byte{2})
	data := make([]byte, bulkSegment)
	random.Read(data)
	var elements strings.Builder
	for _, b := range data[:bulkElements] {
		elements.WriteString([]string{"\xd0\x70\x0b", "\xd2\x00\x0b"}[b&1])
	}
	bodies := []string{
		three + "\xfc\x0b\x00\x0b", three + "\xfc\x0a\x00\x00\x0b", three + "\xfc\x08\x00\x00\x0b",
		"\x20\x00\xd0\x70\x20\x02\xfc\x11\x00\x0b", three + "\xfc\x0e\x00\x00\x0b", three + "\xfc\x0c\x00\x00\x0b",
		"\xfc\x09\x00\xfc\x0d\x00\x0b",
		// for (p1 = 0; p1 < p0; p1++) p2 = p2*31 + is_null(table[p1]); memory[0] = p2
		"\x41\x00\x21\x01\x03\x40\x20\x02\x41\x1f\x6c\x20\x01\x25\x00\xd1\x6a\x21\x02" +
			"\x20\x01\x41\x01\x6a\x22\x01\x20\x00\x49\x0d\x00\x0b\x41\x00\x20\x02\x36\x02\x00\x0b",
	}
	names := []string{"memory.fill", "memory.copy", "memory.init", "table.fill", "table.copy", "table.init", "drop", "digest"}
	functions, exports, code := leb(len(bodies)), leb(len(bodies)), leb(len(bodies))
	for i, body := range bodies {
		functions += "\x00"
		exports += string(byte(len(names[i]))) + names[i] + "\x00" + string(byte(i))
		code += leb(len(body)+1) + "\x00" + body
	}
	return []byte(header +
		section(1, leb(70)+strings.Repeat("\x60\x03\x7f\x7f\x7f\x00", 70)) +
		section(3, functions) +
		section(4, "\x01\x70\x00"+leb(bulkTable)) +
		section(5, "\x01\x00"+leb(bulkPages)) +
		section(7, exports) +
		section(9, "\x01\x05\x70"+leb(bulkElements)+elements.String()) +
		section(12, "\x01") +
		section(10, code) +
		section(11, "\x01\x01"+leb(len(data))+string(data)))
}

func leb(n int) string { return string(binary.AppendUvarint(nil, uint64(n))) }

// bulkRun is the module with or without being rewritten.
type bulkRun struct{ *machine }

func startBulk(t testing.TB, code []byte, fuel string) bulkRun {
	t.Helper()
	m, err := startMachine(t, code, fuel, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return bulkRun{m}
}

// do calls an export. The memory it returns is all that came of it, be it in the table.
func (r bulkRun) do(t *testing.T, export string, params ...uint64) (outcome string, memory []byte) {
	outcome, _ = r.call(export, params...)
	if strings.HasPrefix(export, "table") {
		if _, err := r.call("digest", bulkTable, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	memory, _ = r.module.Memory().Read(0, r.module.Memory().Size())
	return outcome, memory
}

// TestBulk holds that what writes much does the same in pieces: over borders of pieces, overlapping
// in both directions, up to the last byte and beyond it, where nothing may be written.
func TestBulk(t *testing.T) {
	code := bulkModule()
	r := rewrite(t, code, wasm.Options{Meter: meter(1 << 20)})
	const memory = bulkPages << 16
	for _, tc := range []struct {
		export string
		size   uint64 // of what is written to
		from   uint64 // of what is read, if anything is
	}{
		{"memory.fill", memory, 1 << 32}, {"memory.copy", memory, memory}, {"memory.init", memory, bulkSegment},
		{"table.fill", bulkTable, 1 << 32}, {"table.copy", bulkTable, bulkTable}, {"table.init", bulkTable, bulkElements},
	} {
		t.Run(tc.export, func(t *testing.T) {
			original, rewritten := startBulk(t, code, ""), startBulk(t, r.Code, r.Fuel)
			compare := func(export string, params ...uint64) (outcome string) {
				want, memory := original.do(t, export, params...)
				got, written := rewritten.do(t, export, params...)
				if got != want || !bytes.Equal(written, memory) {
					t.Fatalf("%s %d: got %s, want %s, or what is written differs", export, params, got, want)
				}
				return want
			}
			compare("memory.init", 0, 0, bulkSegment)
			compare("table.init", 0, 0, bulkElements)
			trapped := 0
			for _, params := range bulkCases(tc.size, tc.from) {
				if strings.Contains(compare(tc.export, params...), " access") {
					trapped++
				}
			}
			if all := len(bulkCases(tc.size, tc.from)); trapped == 0 || trapped == all {
				t.Errorf("%d of %d are out of bounds", trapped, all)
			}
			compare("drop", 0, 0, 0)
			compare(tc.export, 5, 7, 100_000)
		})
	}
}

// bulkCases returns operands for something of the given size that is written to from something
// else.
func bulkCases(size, from uint64) [][]uint64 {
	const piece, last = 64 << 10, 1<<32 - 1
	cases := [][]uint64{{size, 0, 0}, {size + 1, 0, 0}, {0, from & last, 0}, {0, (from + 1) & last, 0}, {last, 0, 5000},
		{0, last, 5000}, {5000, 0, last}, {0, 5000, last}, {last, last, last}, {size - 5000, 0, last - size + 5002}, {1, 2, 1 << 31}}
	for _, n := range []uint64{1, 4096, 4097, piece - 1, piece, piece + 1, 2 * piece, 2*piece + 3} {
		for _, distance := range []uint64{0, 1, 4096, piece - 1, piece, piece + 1} {
			cases = append(cases, []uint64{3, 3 + distance, n}, []uint64{3 + distance, 3, n})
		}
		cases = append(cases, []uint64{size - n, 0, n}, []uint64{size - n + 1, 0, n}, []uint64{0, (from - n) & last, n},
			[]uint64{0, (from - n + 1) & last, n})
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		cases = append(cases, []uint64{random.Uint64N(size), random.Uint64N(min(from, size)), random.Uint64N(3 * piece)})
	}
	return cases
}

// TestBulkShape holds that an instruction whose length is known to be small is left as it is,
// metered or not.
func TestBulkShape(t *testing.T) {
	for _, tc := range []struct {
		name, length string
		split        bool
		fill         string // how the instruction is written
	}{
		{"short", "\x41\x80\x20", false, "\xfc\x0b\x00"},           // 4096
		{"long", "\x41\x81\x20", true, "\xfc\x0b\x00"},             // 4097
		{"negative", "\x41\x7f", true, "\xfc\x0b\x00"},             // -1
		{"computed", "\x41\x00\x41\x01\x6a", true, "\xfc\x0b\x00"}, // its last number is not the length
		{"padded", "\x41\x7f", true, "\xfc\x8b\x80\x00\x00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := "\x00\x41\x00\x41\x00" + tc.length + tc.fill + "\x0b"
			code := header + section(1, "\x01\x60\x00\x00") + section(3, "\x01\x00") + section(5, "\x01\x00\x01") +
				section(10, "\x01"+leb(len(body))+body)
			metered := rewrite(t, []byte(code), wasm.Options{Meter: meter(1)})
			if err := compiles(metered.Code); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(string(metered.Code), "\xfc\x0b") > 1; got != tc.split {
				t.Errorf("in pieces: got %t, want %t", got, tc.split)
			}
			if plain := rewrite(t, []byte(code), wasm.Options{}); strings.Count(string(plain.Code), "\xfc\x0b") > 1 {
				t.Error("in pieces without a meter")
			}
		})
	}
}

// TestBulkTables holds that tables of every type are filled in pieces, be they imported.
func TestBulkTables(t *testing.T) {
	for _, tc := range []struct{ name, imports, table, null string }{
		{"funcref", "", "\x01\x70\x00\x01", "\xd0\x70"},
		{"externref", "", "\x01\x6f\x00\x01", "\xd0\x6f"},
		{"typed", "", "\x01\x63\x00\x00\x01", "\xd0\x00"},
		{"typed value in a table of functions", "", "\x01\x70\x00\x01", "\xd0\x00"},
		{"initialised", "", "\x01\x40\x00\x63\x00\x00\x01\xd0\x00\x0b", "\xd0\x00"},
		{"imported", section(2, "\x01\x01e\x01t\x01\x6f\x00\x01"), "", "\xd0\x6f"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := "\x00\x41\x00" + tc.null + "\x20\x00\xfc\x11\x00\x0b"
			code := header + section(1, "\x01\x60\x01\x7f\x00") + tc.imports + section(3, "\x01\x00")
			if tc.table != "" {
				code += section(4, tc.table)
			}
			code += section(10, "\x01"+leb(len(body))+body)
			if err := compiles([]byte(code)); err != nil {
				t.Fatalf("the original: %v", err)
			}
			if err := compiles(rewrite(t, []byte(code), wasm.Options{Meter: meter(1)}).Code); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkBulk is what an instruction costs that writes so many bytes, metered and not.
func BenchmarkBulk(b *testing.B) {
	code := bulkModule()
	r := rewrite(b, code, wasm.Options{Meter: meter(1 << 20)})
	for _, export := range []string{"memory.fill", "memory.copy"} {
		for _, n := range []uint64{16, 4 << 10, 5 << 10, 120 << 10} {
			for _, run := range []struct {
				meter string
				bulkRun
			}{{"none", startBulk(b, code, "")}, {"ours", startBulk(b, r.Code, r.Fuel)}} {
				b.Run(fmt.Sprintf("op=%s/bytes=%d/meter=%s", export, n, run.meter), func(b *testing.B) {
					f, stack := run.module.ExportedFunction(export), make([]uint64, 3)
					for b.Loop() {
						stack[0], stack[1], stack[2] = 0, 128<<10, n
						if err := f.CallWithStack(b.Context(), stack); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
