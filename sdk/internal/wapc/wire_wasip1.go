package wapc

import (
	"errors"
	"runtime"
	"unsafe"
)

// The host's functions. Pointers and lengths are 32 bits wide, texts are UTF-8 without terminator,
// and every function returns before the guest goes on, so the host never holds a pointer the
// collector could free.

//go:wasmimport wapc __guest_request
func guestRequest(operation, payload unsafe.Pointer)

//go:wasmimport wapc __guest_response
func guestResponse(answer unsafe.Pointer, size uint32)

//go:wasmimport wapc __guest_error
func guestError(text string)

//go:wasmimport wapc __host_call
func hostCall(binding, namespace, operation, payload string) uint32

//go:wasmimport wapc __host_response_len
func hostResponseLen() uint32

//go:wasmimport wapc __host_response
func hostResponse(into unsafe.Pointer)

//go:wasmimport wapc __host_error_len
func hostErrorLen() uint32

//go:wasmimport wapc __host_error
func hostError(into unsafe.Pointer)

//go:wasmexport __guest_call
func guestCall(operationLen, payloadLen uint32) uint32 {
	// Fresh memory for each call, although a buffer kept between calls would do for the host:
	// strings that a policy cut out of the payload must stay what they are.
	operation, payload := make([]byte, operationLen), make([]byte, payloadLen)
	guestRequest(unsafe.Pointer(unsafe.SliceData(operation)), unsafe.Pointer(unsafe.SliceData(payload)))
	answer, err := handle(text(operation), text(payload))
	if err != nil {
		guestError(err.Error())
		return 0
	}
	guestResponse(unsafe.Pointer(unsafe.SliceData(answer)), uint32(len(answer)))
	runtime.KeepAlive(answer)
	return 1
}

// callOut makes a host call across the WebAssembly boundary.
func callOut(namespace, operation, payload string) (string, error) {
	const succeeded = 1
	if hostCall("kubewarden", namespace, operation, payload) != succeeded {
		reason := make([]byte, hostErrorLen())
		hostError(unsafe.Pointer(unsafe.SliceData(reason)))
		return "", errors.New(text(reason))
	}
	answer := make([]byte, hostResponseLen())
	hostResponse(unsafe.Pointer(unsafe.SliceData(answer)))
	return text(answer), nil
}

// text views bytes the host has filled, and does not write again, as a string.
func text(bytes []byte) string { return unsafe.String(unsafe.SliceData(bytes), len(bytes)) }
