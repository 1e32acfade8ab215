package wasm_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

const header = "\x00asm\x01\x00\x00\x00"

func section(id byte, body string) string {
	return string(binary.AppendUvarint([]byte{id}, uint64(len(body)))) + body
}

func custom(name, payload string) string {
	return section(0, string(binary.AppendUvarint(nil, uint64(len(name))))+name+payload)
}

func parse(t *testing.T, b string) *wasm.Module {
	t.Helper()
	m, err := wasm.Parse([]byte(b))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func readGuest(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, module, want string
	}{
		{"empty", "", "module at offset 0x0: file does not begin with the WebAssembly magic number"},
		{"text", "(module)", "module at offset 0x0: file does not begin with the WebAssembly magic number"},
		{"component", "\x00asm\x0d\x00\x01\x00", "module at offset 0x0: file is a WebAssembly component, not a core module"},
		{"version 2", "\x00asm\x02\x00\x00\x00", "module at offset 0x0: file is not WebAssembly version 1"},
		{"version cut", "\x00asm\x01\x00\x00", "module at offset 0x0: file is not WebAssembly version 1"},
		{"section without size", header + "\x01", "module at offset 0x9: ends too early"},
		{"section beyond the end", header + "\x01\x05abc", "module at offset 0xa: needs 5 bytes where 3 are left"},
		{"size over 32 bits", header + "\x01\x80\x80\x80\x80\x10", "module at offset 0xe: number exceeds 32 bits"},
		{"size that never ends", header + "\x01\x80\x80\x80\x80\x80\x00", "module at offset 0xe: number exceeds 32 bits"},
		{"section twice", header + section(1, "\x00") + section(1, "\x00"), "module at offset 0xe: type section appears twice"},
		{"custom name beyond its section", header + section(0, "\x05ab"), "custom section at offset 0xb: needs 5 bytes where 2 are left"},
		{"custom name not UTF-8", header + section(0, "\x02\xc3\x28"), `custom section at offset 0xd: name "\xc3(" is not UTF-8`},
		{"import of an unknown kind", header + section(2, "\x01\x03env\x01x\x05"),
			`import section at offset 0x12: unknown kind 0x5 of import "env" "x"`},
		{"import count without imports", header + section(2, "\xff\x7f"),
			"import section at offset 0xc: counts 16383 items where 0 bytes are left"},
		{"export of an unknown kind", header + section(7, "\x01\x01x\x07\x00"),
			`export section at offset 0xf: unknown kind 0x7 of export "x"`},
		{"bytes after the last export", header + section(7, "\x00\x00"), "export section at offset 0xb: 1 bytes are left after its last item"},
		{"memory with unknown flags", header + section(5, "\x01\x08\x01"), "memory section at offset 0xc: unknown limits flags 0x8"},
		{"table of an unknown type", header + section(4, "\x01\x40\x00\x01\x00\x00"), "table section at offset 0xe: unknown value type 0x1"},
		{"data of an unknown mode", header + section(11, "\x01\x03"), "data section at offset 0xc: unknown data segment mode 3"},
		{"data beyond the section", header + section(11, "\x01\x01\x09ab"), "data section at offset 0xd: needs 9 bytes where 2 are left"},
		{"data at a computed offset", header + section(11, "\x01\x00\x10\x00\x0b\x00"), "data section at offset 0xd: instruction 0x10 is not constant"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := wasm.Parse([]byte(tc.module))
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

// TestGuests holds what is read from real binaries, and that they pass unaltered.
func TestGuests(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.wasm")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b := readGuest(t, strings.TrimSuffix(filepath.Base(file), ".wasm"))
			m := parse(t, b)
			if err := m.CheckCounts(); err != nil {
				t.Error(err)
			}
			if string(m.Bytes()) != b {
				t.Error("Bytes differs from what was parsed")
			}
		})
	}
}

func TestData(t *testing.T) {
	m := parse(t, header+section(11, "\x03"+"\x00\x41\x00\x0b\x02ab"+"\x01\x01c"+"\x02\x00\x41\x80\x08\x0b\x00"))
	var got []string
	for _, segment := range m.Data() {
		got = append(got, string(segment))
	}
	if want := []string{"ab", "c", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
