package wasm_test

import (
	"errors"
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

// oneFunction is a module whose only function has this body, with two types, a table, a memory and
// a global.
func oneFunction(body string) string {
	code := "\x00" + body
	return header + section(1, "\x02\x60\x00\x00\x60\x01\x7f\x01\x7f") + section(3, "\x01\x00") + section(4, "\x01\x70\x00\x01") +
		section(5, "\x01\x00\x01") + section(6, "\x01\x7f\x01\x41\x00\x0b") + section(10, "\x01"+string(byte(len(code)))+code)
}

func TestRewriteRefuses(t *testing.T) {
	for _, tc := range []struct{ name, module, want string }{
		{"not a module", "", "module at offset 0x0: file does not begin with the WebAssembly magic number"},
		{"unknown section", header + section(14, ""), "unknown section at offset 0xa: unknown section id 14"},
		{"sections out of order", header + section(3, "\x00") + section(1, "\x00"), "type section at offset 0xd: stands behind the function section"},
		{"tags out of order", header + section(6, "\x00") + section(13, "\x00"), "tag section at offset 0xd: stands behind the global section"},

		{"structure type", header + section(1, "\x01\x5f\x00"), "type section at offset 0xc: type form 0x5f: garbage-collected types are not supported"},
		{"subtype", header + section(1, "\x01\x50\x00\x60\x00\x00"), "type section at offset 0xc: type form 0x50: garbage-collected types are not supported"},
		{"any reference", header + section(1, "\x01\x60\x01\x6e\x00"), "type section at offset 0xe: value type 0x6e: garbage-collected references are not supported"},
		{"i31 heap type", header + section(1, "\x01\x60\x01\x63\x6c\x00"), "type section at offset 0xf: heap type 0x6c: garbage-collected references are not supported"},
		{"padded heap type", header + section(1, "\x01\x60\x01\x63\xf0\x7f\x00"), "type section at offset 0x10: heap type -16 is padded"},
		{"type of a parameter out of range", header + section(1, "\x01\x60\x01\x63\x05\x00"), "type section at offset 0xf: type 5 is out of range: the module has 1"},
		{"shared memory", header + section(5, "\x01\x03\x01\x01"), "memory section at offset 0xc: limits flags 0x3: threads are not supported"},
		{"64-bit memory", header + section(5, "\x01\x04\x01"), "memory section at offset 0xc: limits flags 0x4: 64-bit memories and tables are not supported"},
		{"64-bit table imported", header + section(2, "\x01\x01e\x01t\x01\x70\x04\x01"), "import section at offset 0x12: limits flags 0x4: 64-bit memories and tables are not supported"},
		{"two memories", header + section(5, "\x02\x00\x01\x00\x01"), "memory section at offset 0xf: 2 memories: more than one memory is not supported"},
		{"a second memory imported", header + section(2, "\x01\x01e\x01m\x02\x00\x01") + section(5, "\x01\x00\x01"),
			`import section at offset 0x12: memory "e" "m" is not the only one: more than one memory is not supported`},
		{"import of a type that is not there", header + section(2, "\x01\x01e\x01f\x00\x00"), "import section at offset 0x11: type 0 is out of range: the module has 0"},
		{"function of a type that is not there", header + section(3, "\x01\x00"), "function section at offset 0xc: type 0 is out of range: the module has 0"},
		{"functions without code", header + section(1, "\x01\x60\x00\x00") + section(3, "\x01\x00"), "code section at offset 0x12: is missing where 1 functions are declared"},
		{"code without functions", header + section(10, "\x01\x02\x00\x0b"), "code section at offset 0xb: holds 1 functions where 0 are declared"},
		{"start function out of range", header + section(8, "\x00"), "start section at offset 0xb: function 0 is out of range: the module has 0"},
		{"export out of range", header + section(7, "\x01\x01f\x00\x00"), "export section at offset 0xf: function 0 is out of range: the module has 0"},
		{"export of the fuel", header + section(7, "\x01\x01f\x03\x00"), "export section at offset 0xf: global 0 is out of range: the module has 0"},
		{"global flag", header + section(6, "\x01\x7f\x02\x41\x00\x0b"), "global section at offset 0xd: unknown global flag 0x2"},
		{"global of a global out of range", header + section(6, "\x01\x7f\x00\x23\x01\x0b"), "global section at offset 0xf: global 1 is out of range: the module has 1"},
		{"null in a reference that is never null", header + section(6, "\x01\x64\x70\x00\xd0\x70\x0b"), "global section at offset 0x10: null is used for a reference that cannot be null"},
		{"null in a table that has none", header + section(4, "\x01\x40\x00\x64\x70\x00\x01\xd0\x70\x0b"), "table section at offset 0x13: null is used for a reference that cannot be null"},
		{"any function for a typed one", header + section(1, "\x01\x60\x00\x00") + section(6, "\x02\x70\x00\xd0\x70\x0b\x63\x00\x00\x23\x00\x0b"),
			"global section at offset 0x1b: global 0 of type funcref is used for a typed reference"},
		{"data count", header + section(12, "\x01") + section(11, "\x00"), "data count section at offset 0xb: announces 1 data segments where there are 0"},

		{"empty body", oneFunction(""), "code section at offset 0x2f: ends too early"},
		{"no end", oneFunction("\x01"), "code section at offset 0x30: ends too early"},
		{"code behind the end", oneFunction("\x0b\x01"), "code section at offset 0x30: 1 bytes are left after the function's end"},
		{"unknown instruction", oneFunction("\x27\x0b"), "code section at offset 0x30: unknown instruction 0x27"},
		{"legacy exceptions", oneFunction("\x06\x40\x0b\x0b"), "code section at offset 0x30: instruction 0x6: legacy exceptions are not supported; rebuild with the standard ones (try_table)"},
		{"structure instruction", oneFunction("\xfb\x00\x00\x0b"), "code section at offset 0x30: instruction 0xfb: garbage-collected references are not supported"},
		{"atomic instruction", oneFunction("\xfe\x03\x00\x0b"), "code section at offset 0x31: atomic instruction 0xfe 0x3: threads are not supported"},
		{"relaxed vector instruction", oneFunction("\xfd\x80\x02\x0b"), "code section at offset 0x32: unknown instruction 0xfd 0x100; relaxed vector instructions are not supported"},
		{"gap in the vector instructions", oneFunction("\xfd\x9a\x01\x0b"), "code section at offset 0x32: unknown instruction 0xfd 0x9a"},
		{"unknown bulk instruction", oneFunction("\xfc\x12\x0b"), "code section at offset 0x31: unknown instruction 0xfc 0x12"},
		{"another memory", oneFunction("\x3f\x01\x0b"), "code section at offset 0x31: memory index 0x1: more than one memory is not supported"},
		{"another memory in a load", oneFunction("\x28\x42\x01\x00\x0b"), "code section at offset 0x31: memory argument 0x42: more than one memory is not supported"},
		{"function out of range", oneFunction("\x10\x01\x0b"), "code section at offset 0x31: function 1 is out of range: the module has 1"},
		{"the fuel", oneFunction("\x23\x01\x1a\x0b"), "code section at offset 0x31: global 1 is out of range: the module has 1"},
		{"the meter's local", oneFunction("\x20\x00\x1a\x0b"), "code section at offset 0x31: local 0 is out of range: the function has 0"},
		{"type out of range", oneFunction("\x11\x02\x00\x0b"), "code section at offset 0x31: type 2 is out of range: the module has 2"},
		{"block type out of range", oneFunction("\x02\x02\x0b\x0b"), "code section at offset 0x31: type 2 is out of range: the module has 2"},
		{"padded block type", oneFunction("\x02\xff\x7f\x0b\x0b"), "code section at offset 0x32: block type -1 is padded"},
		{"catch clause", oneFunction("\x1f\x40\x01\x04\x00\x0b\x0b"), "code section at offset 0x33: unknown catch clause 0x4"},
		{"constant of 33 bits", oneFunction("\x41\x80\x80\x80\x80\x08\x1a\x0b"), "code section at offset 0x35: number exceeds 32 bits"},
		{"labels beyond the body", oneFunction("\x0e\x7f\x00\x0b"), "code section at offset 0x31: counts 127 items where 2 bytes are left"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := wasm.Rewrite([]byte(tc.module), wasm.Options{Meter: meter(1)})
			var format *wasm.FormatError
			if !errors.As(err, &format) {
				t.Fatalf("got %v, want a FormatError", err)
			}
			if err.Error() != tc.want {
				t.Errorf("got  %s\nwant %s", err, tc.want)
			}
		})
	}
}

// TestRewriteTruncated holds that a module cut anywhere is refused or, between sections, read for
// what is there.
func TestRewriteTruncated(t *testing.T) {
	for _, name := range []string{"spends", "writes_tables", "retries", "state"} {
		code := readModule(t, name)
		for n := range code {
			_, err := wasm.Rewrite(code[:n], wasm.Options{Meter: meter(1)})
			var format *wasm.FormatError
			if err != nil && !errors.As(err, &format) {
				t.Errorf("%s cut at %d: got %v, want a FormatError", name, n, err)
			}
		}
	}
}

func TestCompactImports(t *testing.T) {
	types := section(1, "\x02\x60\x00\x00\x60\x01\x7f\x00")
	long := strings.Repeat("m", 100_000)
	for _, tc := range []struct{ name, imports, plain, err string }{
		{name: "one module", imports: "\x01\x01a\x00\x7f\x02\x01b\x00\x00\x01c\x03\x7f\x00",
			plain: "\x02\x01a\x01b\x00\x00\x01a\x01c\x03\x7f\x00"},
		{name: "one module and type", imports: "\x01\x01a\x00\x7e\x00\x01\x02\x01b\x01c",
			plain: "\x02\x01a\x01b\x00\x01\x01a\x01c\x00\x01"},
		{name: "beside plain ones", imports: "\x03\x01a\x01b\x00\x00\x01c\x00\x7f\x01\x01d\x00\x01\x00\x00\x00\x00",
			plain: "\x03\x01a\x01b\x00\x00\x01c\x01d\x00\x01\x00\x00\x00\x00"},
		{name: "padded empty name", imports: "\x01\x01a\x80\x80\x00\x7f\x01\x01b\x00\x00", plain: "\x01\x01a\x01b\x00\x00"},
		{name: "of nothing", imports: "\x01\x01a\x00\x7f\x00", plain: "\x00"},
		{name: "behind a name", imports: "\x01\x01a\x01x\x7f\x00",
			err: `import section at offset 0x1a: unknown kind 0x7f of import "a" "x"`},
		{name: "padded form", imports: "\x01\x01a\x00\xff\x00\x00", err: `import section at offset 0x19: unknown kind 0xff of import "a" ""`},
		{name: "cut", imports: "\x01\x01a\x00\x7e\x00", err: "import section at offset 0x1a: ends too early"},
		{name: "grown out of hand", imports: "\x01\xa0\x8d\x06" + long + "\x00\x7e\x00\x00\xe8\x07" + strings.Repeat("\x00", 1000),
			err: "import section at offset 0x18768: compact import section is too large to be written out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := wasm.Parse([]byte(header + types + section(2, tc.imports)))
			if text(err) != tc.err {
				t.Fatalf("got %v, want %q", err, tc.err)
			}
			if err != nil {
				return
			}
			want := header + types + section(2, tc.plain)
			if got := string(m.Bytes()); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := rewrite(t, m.Bytes(), wasm.Options{}).Code; string(got) != want {
				t.Errorf("rewritten: got %q, want %q", got, want)
			}
		})
	}
}
