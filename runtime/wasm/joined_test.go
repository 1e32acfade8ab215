package wasm_test

import (
	"bytes"
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

// TestJoinData holds which data segments become one, and that memory is the same after them.
func TestJoinData(t *testing.T) {
	at := func(offset int, content string) string {
		place := leb(offset)
		if offset >= 64 { // bit 6 is the sign
			place = string([]byte{byte(offset) | 0x80, 0})
		}
		return "\x00\x41" + place + "\x0b" + leb(len(content)) + content
	}
	const own, imported = "\x01\x00\x01", "\x01\x01e\x01m\x02\x00\x01"
	zeros := strings.Repeat("\x00", 64)
	for _, tc := range []struct {
		name     string
		segments []string
		want     []string // nil: as they are
		code     string   // of a function, before its end
	}{
		{"none", nil, nil, ""},
		{"one", []string{at(5, "abc")}, nil, ""},
		{"side by side", []string{at(5, "abc"), at(8, "de"), at(10, "f")}, []string{at(5, "abcdef")}, ""},
		{"close", []string{at(1, "a"), at(4, "b")}, []string{at(1, "a\x00\x00b")}, ""},
		{"up to the gap", []string{at(1, "a"), at(66, "b")}, []string{at(1, "a"+zeros+"b")}, ""},
		{"beyond it", []string{at(1, "a"), at(67, "b")}, nil, ""},
		{"backwards", []string{at(40, "a"), at(1, "b"), at(44, "c")}, []string{at(1, "b"+zeros[:38]+"a\x00\x00\x00c")}, ""},
		{"over another", []string{at(1, "abcdef"), at(3, "x"), at(8, "y")}, nil, ""},
		{"over another's end", []string{at(1, "abc"), at(3, "xyz"), at(7, "w")}, nil, ""},
		{"nothing", []string{at(1, "a"), at(2, ""), at(3, "b")}, []string{at(1, "a\x00b")}, ""},
		{"passive", []string{at(1, "a"), "\x01\x01p", at(2, "b")}, nil, ""},
		{"in the memory that is named", []string{at(1, "a"), "\x02\x00\x41\x02\x0b\x01b"}, nil, ""},
		{"beyond the end", []string{at(1, "a"), at(2, "b"), "\x00\x41\xff\xff\x03\x0b\x02xy"}, nil, ""},
		{"at a negative place", []string{at(1, "a"), at(2, "b"), "\x00\x41\x7f\x0b\x01x"}, nil, ""},
		{"named", []string{at(1, "a"), at(2, "b")}, nil, "\xfc\x09\x01"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			module := func(head, memory string, segments []string) string {
				return head + section(1, "\x01\x60\x00\x00") + memory + section(12, leb(len(segments))) +
					section(10, "\x01"+leb(len(tc.code)+2)+"\x00"+tc.code+"\x0b") + section(11, leb(len(segments))+strings.Join(segments, ""))
			}
			want := tc.want
			if want == nil {
				want = tc.segments
			}
			mine := section(3, "\x01\x00") + section(5, own)
			got := rewrite(t, []byte(module(header, mine, tc.segments)), wasm.Options{}).Code
			if suffix := module("", "", want); !bytes.HasSuffix(got, []byte(suffix[strings.Index(suffix, "\x0c"):])) {
				t.Errorf("got %q, want it to end as %q", got, suffix)
			}
			theirs := module(header, section(2, imported)+section(3, "\x01\x00"), tc.segments)
			kept := rewrite(t, []byte(theirs), wasm.Options{KeepMemoryImport: true}).Code
			if !bytes.HasSuffix(kept, []byte(theirs[strings.Index(theirs, "\x0c"):])) {
				t.Errorf("for an imported memory: got %q", kept)
			}
			compareTrials(t, []byte(module(header, mine+section(7, "\x01\x06memory\x02\x00"), tc.segments)))
		})
	}
}
