package wasm_test

import (
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

func TestClampTables(t *testing.T) {
	const funcref, initialised = "\x70", "\x40\x00\x70"
	for _, tc := range []struct {
		name, tables string
		want         string
	}{
		{"unbounded", "\x01" + funcref + "\x00\x04", "\x01" + funcref + "\x01\x04\x64"},
		{"bound above", "\x01" + funcref + "\x01\x04\xff\x7f", "\x01" + funcref + "\x01\x04\x64"},
		{"bound below", "\x01" + funcref + "\x01\x04\x05", "\x01" + funcref + "\x01\x04\x05"},
		{"shared out", "\x02" + funcref + "\x00\x14" + funcref + "\x01\x00\x08", "\x02" + funcref + "\x01\x14\x3c" + funcref + "\x01\x00\x08"},
		{"initialised", "\x01" + initialised + "\x00\x64\xd0\x70\x0b", "\x01" + initialised + "\x01\x64\x64\xd0\x70\x0b"},
		{"too large already", "\x01" + funcref + "\x00\x65", "\x01" + funcref + "\x00\x65"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := parse(t, header+section(4, tc.tables))
			m.ClampTables(100)
			if got := string(m.Bytes()); got != header+section(4, tc.want) {
				t.Errorf("got %q, want %q", got, header+section(4, tc.want))
			}
		})
	}
	parse(t, header).ClampTables(100) // nothing to clamp
}

func TestMemories(t *testing.T) {
	for _, tc := range []struct {
		name, memories string
		min, max       uint64
		hasMax         bool
	}{
		{"unbounded", "\x01\x00\x02", 2, 0, false},
		{"bounded", "\x01\x01\x02\x80\x80\x04", 2, 65536, true},
		{"64-bit", "\x01\x05\x02\x80\x80\x80\x80\x80\x01", 2, 1 << 35, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := parse(t, header+section(5, tc.memories)).Memories()
			if len(l) != 1 || l[0].Min != tc.min || l[0].Max != tc.max || l[0].HasMax != tc.hasMax {
				t.Errorf("got %+v, want one of %+v", l, tc)
			}
		})
	}
}

// TestSparePage holds what a memory is declared to grow to, and what the host is told.
func TestSparePage(t *testing.T) {
	const import0 = "\x01\x01e\x01m\x02"
	for _, tc := range []struct {
		name, sections, want string
		max                  uint64
	}{
		{"none", "", "", 1 << 16},
		{"declares no maximum", section(5, "\x01\x00\x01"), section(5, "\x01\x00\x01"), 1 << 16},
		{"declares one", section(5, "\x01\x01\x01\x03"), section(5, "\x01\x01\x01\x04"), 3},
		{"cannot grow", section(5, "\x01\x01\x7f\x7f"), section(5, "\x01\x01\x7f\x80\x01"), 127},
		{"all there can be", section(5, "\x01\x01\x01\x80\x80\x04"), section(5, "\x01\x01\x01\x80\x80\x04"), 1 << 16},
		{"beyond what can be", section(5, "\x01\x01\x01\x81\x80\x04"), section(5, "\x01\x01\x01\x81\x80\x04"), 1 << 16},
		{"below what it starts with", section(5, "\x01\x01\x02\x01"), section(5, "\x01\x01\x02\x01"), 1},
		{"imported", section(2, import0+"\x01\x00\x02"), section(5, "\x01\x01\x00\x03"), 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := rewrite(t, []byte(header+tc.sections), wasm.Options{SparePage: true})
			if r.MemoryMax != tc.max || !strings.Contains(string(r.Code), tc.want) {
				t.Errorf("got %q and a maximum of %d, want %q and %d", r.Code, r.MemoryMax, tc.want, tc.max)
			}
			if as := rewrite(t, []byte(header+tc.sections), wasm.Options{}); as.MemoryMax != tc.max {
				t.Errorf("without a spare page: got a maximum of %d, want %d", as.MemoryMax, tc.max)
			}
		})
	}
}
