// Package wasm reads WebAssembly module binaries and writes altered copies of them.
//
// It owns the binary format: sections, imports, exports, tables, memories and data segments, and the check that no
// count in a foreign file promises more than the file holds. It does not know how a module is compiled or run, nor
// what any import or custom section means.
//
// The format is that of https://webassembly.github.io/spec/core/binary/, with the proposals typed function
// references, tail calls, extended constant expressions and exception handling.
package wasm
