package guests

import (
	"bytes"
	"encoding/binary"

	"policy-server/policy"
	"policy-server/runtime/wasm"
)

// Bomb returns a small policy that keeps every bound of what a module may ask of a compiler, and
// still takes minutes and gigabytes to compile: each of its functions has hundreds of values that
// are alive across thousands of branches.
func Bomb() ([]byte, error) {
	const functions, values, branches = 100, 450, 2_000
	answers := []byte{0, 0x41, 1, 0x0b}
	holds := binary.AppendUvarint([]byte{1}, values)
	holds = append(holds, 0x7f)
	for value := range uint64(values) {
		holds = binary.AppendUvarint(append(holds, 0x20, 0, 0x41, 7, 0x6a, 0x21), value+1) // value = parameter + 7
	}
	for range branches {
		holds = append(holds, 0x20, 0, 0x04, 0x40, 0x0b) // if (parameter) {}
	}
	for value := range uint64(values) {
		holds = append(binary.AppendUvarint(append(holds, 0x41, 0, 0x20), value+1), 0x36, 2, 0) // store it
	}
	holds = append(holds, 0x0b)

	module := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content []byte) {
		module = append(binary.AppendUvarint(append(module, id), uint64(len(content))), content...)
	}
	section(1, []byte{2, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 0})
	section(3, append([]byte{functions + 1, 0}, bytes.Repeat([]byte{1}, functions)...))
	section(5, []byte{1, 0, 1})
	section(7, append(append([]byte{1, 12}, "__guest_call"...), 0, 0))
	code := append([]byte{functions + 1, byte(len(answers))}, answers...)
	for range functions {
		code = append(binary.AppendUvarint(code, uint64(len(holds))), holds...)
	}
	section(10, code)
	parsed, err := wasm.Parse(module)
	if err != nil {
		return nil, err
	}
	return parsed.WithCustom(policy.MetadataSection, []byte(`{"protocolVersion":"v1","rules":[],"mutating":false}`)), nil
}
