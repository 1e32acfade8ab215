// Package sandbox runs one guest call in a WebAssembly instance of its own on wazero.
//
// It owns what every guest protocol needs: the limits, the check of a module's imports and exports, compiled code, a
// clean instance for each call, WASI, interruption when a context ends, and the errors all of this can produce. Only
// this package decides how a clean instance comes about; today each is instantiated afresh.
//
// It does not know any guest protocol: an [ABI] tells it what a protocol asks of a module and offers to it. It does
// not know policies either, nor what the bytes it moves mean.
package sandbox
