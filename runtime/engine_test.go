package runtime_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"policy-server/runtime"
	"policy-server/runtime/wasm"
)

func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  runtime.Config
		want string
	}{
		{"negative memory", runtime.Config{MemoryLimit: -1}, "memory limit -1: must be from 65536 to 4294967296 bytes"},
		{"less than a page", runtime.Config{MemoryLimit: 65535}, "memory limit 65535: must be from 65536 to 4294967296 bytes"},
		{"more than 32 bits address", runtime.Config{MemoryLimit: 4<<30 + 1},
			"memory limit 4294967297: must be from 65536 to 4294967296 bytes"},
		{"negative output", runtime.Config{OutputLimit: -2}, "output limit -2: must not be negative"},
		{"negative host call", runtime.Config{HostCallLimit: -3}, "host call limit -3: must not be negative"},
		{"negative print", runtime.Config{PrintLimit: -4}, "print limit -4: must not be negative"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := runtime.Open(t.Context(), tc.cfg); err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		name, guest string
		cfg         runtime.Config
		want        string
	}{
		{"one page of memory", "accepts", runtime.Config{MemoryLimit: 2<<16 - 1}, `call: out of bounds memory access: 2 bytes at 0x10000 printed ""`},
		{"4 GiB of memory", "accepts", runtime.Config{MemoryLimit: 4 << 30}, accepted},
		{"output", "rejects", runtime.Config{OutputLimit: 66}, `call: response of 67 bytes exceeds the limit of 66 bytes printed ""`},
		{"output reached", "rejects", runtime.Config{OutputLimit: 67},
			`answer {"accepted":false,"message":"refused by the test guest","code":403} printed ""`},
		{"error text", "guest_error", runtime.Config{OutputLimit: 12}, `call: error text of 13 bytes exceeds the limit of 12 bytes printed ""`},
		{"WASI output", "wasi_accepts", runtime.Config{OutputLimit: 16}, `exit: code 0 trap "answer exceeds the limit of 16 bytes" stderr "hi"`},
		{"WASI output reached", "wasi_accepts", runtime.Config{OutputLimit: 17}, `answer {"accepted":true} printed " hi \n "`},
		{"host call", "unknown_host_call", runtime.Config{HostCallLimit: 33}, `call: host call of 34 bytes exceeds the limit of 33 bytes printed ""`},
		{"host call reached", "unknown_host_call", runtime.Config{HostCallLimit: 34}, `call: unknown capability: no-such-capability/none printed ""`},
		{"print", "traps_after_print", runtime.Config{PrintLimit: 3}, `call: wasm trap: unreachable printed "[19 bytes cut] :-("`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := compile(t, open(t, tc.cfg), tc.guest)
			if got := describe(m.Call(t.Context(), ask(runtime.Validate, []byte("{}")), echoHost)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	e := open(t, runtime.Config{})
	accepts := string(readGuest(t, "accepts"))
	for _, tc := range []struct {
		name     string
		module   string
		protocol runtime.Protocol
		want     string
	}{
		{"unknown protocol", accepts, "grpc", `error: protocol "grpc": unknown; known: wapc, wasi`},
		{"waPC guest as a WASI command", accepts, runtime.WASI, `compile: unknown import: function "wapc" "__guest_response"; ` +
			`known modules: host, kubewarden:javy/host, wasi_snapshot_preview1, wasi_unstable`},
		{"WASI command as a waPC guest", string(readGuest(t, "wasi_accepts")), runtime.WaPC,
			`compile: Guest call function (__guest_call) not exported by wasm module.`},
		{"imported memory", header + section(2, "\x01\x03env\x06memory\x02\x00\x01"), runtime.WaPC,
			`compile: unknown import: memory "env" "memory"; known modules: wapc, wasi_snapshot_preview1, wasi_unstable`},
		{"unknown function of a known module", header + section(2, "\x01\x04wapc\x05__bye\x00\x00"), runtime.WaPC,
			`compile: unknown import: function "wapc" "__bye"`},
		{"compact imports", header + section(2, "\x01\x04wapc\x00\x7f\x01\x05__bye\x00\x00"), runtime.WaPC,
			`compile: unknown import: function "wapc" "__bye"`},
		{"empty", "", runtime.WaPC, `compile: module at offset 0x0: file does not begin with the WebAssembly magic number`},
		{"cut", accepts[:len(accepts)-9], runtime.WaPC, `compile: module at offset 0xb6: needs 51 bytes where 42 are left`},
		{"count without items", header + section(1, "\xff\xff\xff\xff\x0f"), runtime.WaPC,
			`compile: type section at offset 0xf: counts 4294967295 items where 0 bytes are left`},
		{"invalid instructions", strings.Replace(accepts, "\x41\x20\x41\x11", "\x41\x20\xff\x11", 1), runtime.WaPC,
			`compile: code section at offset 0xae: unknown instruction 0xff`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := e.Compile(t.Context(), []byte(tc.module), tc.protocol)
			if got := describe(runtime.Answer{}, err); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// Custom sections do not reach the compiler, be they as broken as they like inside.
func TestCompileIgnoresCustomSections(t *testing.T) {
	e := open(t, runtime.Config{})
	m, err := wasm.Parse(readGuest(t, "accepts"))
	if err != nil {
		t.Fatal(err)
	}
	hostile := m.WithCustom("name", []byte("\x01\x05\xff\xff\xff\xff\x0f")) // four billion function names
	compiled, err := e.Compile(t.Context(), hostile, runtime.WaPC)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(compiled.Call(t.Context(), ask(runtime.Validate, []byte("{}")), nil)); got != accepted {
		t.Errorf("got %s", got)
	}
}

const header = "\x00asm\x01\x00\x00\x00"

func section(id byte, body string) string {
	return string(binary.AppendUvarint([]byte{id}, uint64(len(body)))) + body
}
