// Package wapc speaks the waPC protocol with guests: operation name and payload in, response or
// error text out, and host calls in between.
//
// It owns the protocol's import module, the order of init functions and the meaning of a call's
// outcome. It does not know how an instance comes about, which operations policies have, or what
// payloads mean.
//
// The protocol is that of https://wapc.io/docs/spec/.
package wapc
