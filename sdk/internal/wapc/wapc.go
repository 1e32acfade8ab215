// Package wapc is the wire between a guest and its host: the waPC calling convention and nothing of
// what it carries. It owns the one handler of the guest and the way out to the host. It does not
// know policies, requests, settings or JSON.
//
// A guest is one handler for its whole life, so the handler is package state, set while the program
// initialises. Compiled for wasip1 the package talks to the WebAssembly host; in tests it talks to
// a function that takes the host's place, so that policies are tested as ordinary Go.
package wapc

import (
	"errors"
	"sync"
)

// Handler answers one call of the host: operation is its name, payload its bytes, which are never
// written again and may be kept. An error reaches the host as the guest's error text.
type Handler func(operation, payload string) ([]byte, error)

// Host answers host calls in place of the WebAssembly host.
type Host func(namespace, operation, payload string) (string, error)

var guest struct {
	handler Handler

	calls sync.Mutex // held for a whole Call, because a guest serves one at a time
	host  Host       // that of the Call in progress; nil while the WebAssembly host calls
}

// Handle makes h the guest's handler, in place of an earlier one. Call it from an init function:
// the host calls as soon as the program has initialised.
func Handle(h Handler) { guest.handler = h }

var errNoHandler = errors.New("no policy is registered: call sdk.Register in an init function")

func handle(operation, payload string) ([]byte, error) {
	if guest.handler == nil {
		return nil, errNoHandler
	}
	return guest.handler(operation, payload)
}

// Call hands one call to the handler, with host, which is required, answering what it asks
// meanwhile. Calls from several goroutines wait for each other.
func Call(host Host, operation, payload string) ([]byte, error) {
	guest.calls.Lock()
	defer guest.calls.Unlock()
	guest.host = host
	defer func() { guest.host = nil }()
	return handle(operation, payload)
}

// HostCall asks the host for the capability namespace/operation and waits for its answer, which may
// be empty. The error is the host's own text.
func HostCall(namespace, operation, payload string) (string, error) {
	if guest.host != nil {
		return guest.host(namespace, operation, payload)
	}
	return callOut(namespace, operation, payload)
}
