package wasm_test

import (
	"fmt"
	"slices"
	"testing"

	"policy-server/runtime/wasm"
)

func TestImportsAndExports(t *testing.T) {
	m := parse(t, readGuest(t, "wasi_javy_host_call"))
	var imports, exports []string
	for _, im := range m.Imports() {
		imports = append(imports, fmt.Sprintf("%s %s %s", im.Kind, im.Module, im.Name))
	}
	for _, e := range m.Exports() {
		exports = append(exports, fmt.Sprintf("%s %s %d", e.Kind, e.Name, e.Index))
	}
	wantImports := []string{
		"function wasi_snapshot_preview1 args_sizes_get", "function wasi_snapshot_preview1 fd_read",
		"function wasi_snapshot_preview1 fd_write", "function kubewarden:javy/host call",
		"function wasi_snapshot_preview1 proc_exit",
	}
	if !slices.Equal(imports, wantImports) {
		t.Errorf("imports: got %q, want %q", imports, wantImports)
	}
	if want := []string{"memory memory 0", "function _start 7"}; !slices.Equal(exports, want) {
		t.Errorf("exports: got %q, want %q", exports, want)
	}
}

func TestImportKinds(t *testing.T) {
	m := parse(t, header+section(2, "\x05"+"\x01m\x01f\x00\x00"+"\x01m\x01t\x01\x70\x01\x01\x02"+"\x01m\x01m\x02\x00\x01"+
		"\x01m\x01g\x03\x7f\x00"+"\x01m\x01e\x04\x00\x00"))
	var kinds []wasm.Kind
	for _, im := range m.Imports() {
		kinds = append(kinds, im.Kind)
	}
	if want := []wasm.Kind{wasm.Function, wasm.Table, wasm.Memory, wasm.Global, wasm.Tag}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

func TestRenameImport(t *testing.T) {
	javy, host := readGuest(t, "wasi_javy_host_call"), readGuest(t, "wasi_host_call")
	for _, tc := range []struct {
		name, oldModule, function, newModule string
		want                                 string
	}{
		{"renames", "kubewarden:javy/host", "call", "host", host},
		{"another function", "kubewarden:javy/host", "calls", "host", javy},
		{"another module", "kubewarden:javy", "call", "host", javy},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := parse(t, javy)
			m.RenameImport(tc.oldModule, tc.function, tc.newModule)
			if string(m.Bytes()) != tc.want {
				t.Errorf("got %q\nwant %q", m.Bytes(), tc.want)
			}
		})
	}
}
