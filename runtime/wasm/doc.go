// Package wasm reads WebAssembly module binaries and writes altered copies of them.
//
// It owns the binary format, in every section and instruction: imports, exports, tables, memories
// and data segments; the check that no count in a foreign file promises more than the file holds;
// and [Rewrite], which makes a module ready to be run under a meter and put back to an image of its
// state. It does not know how a module is compiled or run, nor what any import or custom section
// means.
//
// The format is that of https://webassembly.github.io/spec/core/binary/ with vector instructions,
// tail calls, typed function references, extended constant expressions and exception handling, and
// with compact import sections. Threads, 64-bit and several memories, garbage collection and
// relaxed vector instructions are refused by name.
package wasm
