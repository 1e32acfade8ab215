// Package runtime runs WebAssembly guests: compile a module once, call it often, each time in a
// clean instance.
//
// It owns the limits of a call and the choice of the guest protocol. What happens inside is the
// work of its subpackages: wasm reads binaries, sandbox runs instances, wapc and wasi speak the
// protocols. It knows bytes, not policies: neither what the operations mean, nor JSON, nor which
// host capabilities exist.
package runtime
