package wasm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"policy-server/runtime/wasm"
)

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../testdata/*.wasm")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, "io.kubewarden.metadata", []byte(`{}`))
	}
	f.Add([]byte(header+custom("a", "b")+section(14, "")), "a", []byte{})
	f.Add([]byte(header+section(2, "\x02\x01a\x00\x7f\x01\x01b\x03\x7f\x00\x01a\x00\x7e\x03\x7f\x00\x01\x01c")), "a", []byte{})
	f.Add([]byte(header+section(4, "\x01\x40\x00\x70\x00\x00\xd0\x70\x0b")), "", []byte{})
	f.Fuzz(func(t *testing.T, b []byte, name string, payload []byte) {
		m, err := wasm.Parse(b)
		if err != nil {
			return
		}
		if written := m.Bytes(); !bytes.Equal(written, b) { // a compact import section
			if plain, err := wasm.Parse(written); err != nil || !bytes.Equal(plain.Bytes(), written) {
				t.Fatalf("Bytes differs from what was parsed (%v)", err)
			}
		}
		_ = m.CheckCounts()
		if !utf8.ValidString(name) {
			return // not a name a module could have
		}
		again, err := wasm.Parse(m.WithCustom(name, payload))
		if err != nil {
			t.Fatalf("with a custom section: %v", err)
		}
		if got, ok := again.Custom(name); !ok || !bytes.Equal(got, payload) {
			t.Fatalf("custom section: got %q %t, want %q", got, ok, payload)
		}
		if len(again.Imports()) != len(m.Imports()) || len(again.Exports()) != len(m.Exports()) || len(again.Data()) != len(m.Data()) {
			t.Fatal("a custom section changed imports, exports or data")
		}
		if !bytes.Equal(again.WithoutCustom(), m.WithoutCustom()) {
			t.Fatal("a custom section changed other sections")
		}
		m.ClampTables(1000)
		for _, im := range m.Imports() {
			m.RenameImport(im.Module, im.Name, "renamed")
		}
		if _, err := wasm.Parse(m.Bytes()); err != nil {
			t.Fatalf("rewritten: %v", err)
		}
	})
}
