// Package hostcalls decides what a guest may ask of the host and hands the call to the capability
// that answers it: capability paths, the grants a policy has, dispatch, the guest's log, and
// sessions, in which calls are written down or answered from what was.
//
// It knows no WebAssembly: a call is a namespace, an operation and a payload. The capabilities
// themselves are in the packages below this one, one a namespace.
package hostcalls
