// Package wasi speaks with guests that are WASI commands: the operation is an argument, the payload
// is stdin, the answer is stdout.
//
// It owns the arguments, the standard streams, the import through which such guests call the host,
// and the meaning of exit codes. It does not know how an instance comes about, nor what payloads
// mean.
package wasi
