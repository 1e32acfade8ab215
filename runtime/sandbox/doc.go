// Package sandbox runs guest calls in WebAssembly instances on wazero, each call in one that is as
// clean as new.
//
// It owns what every guest protocol needs: the limits, the check of a module's imports and exports,
// compiled code, WASI, interruption when a context ends, and the errors all of this can produce.
// And it decides how a clean instance comes about. A [Program] starts a new one for each call. A
// [Pool] takes an image of one that has initialised and warmed up, memory, its size and all
// globals, and brings an instance back to exactly that after each call that ended well; what ended
// otherwise, or has state anywhere else, is given up. Memory is brought back by the cheapest method
// the system has; the portable one copies all of it. An instance of a WASI command would be over
// after one call; it is held at its first read of stdin instead, with an image of its own, and its
// stack is brought back too.
//
// It does not know any guest protocol: an [ABI] tells it what a protocol asks of a module and
// offers to it. It does not know policies either, nor what the bytes it moves mean.
package sandbox
