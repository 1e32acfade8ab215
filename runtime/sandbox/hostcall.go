package sandbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"unicode/utf8"
)

// HostCall serves what a guest asks of its host: an operation of a host capability's namespace,
// with a payload that is the callee's to keep. The answer may be empty. An error goes to the guest
// as its text, not to the caller of the guest. It runs on the goroutine of the guest's call and
// blocks it; ctx ends with the evaluation.
type HostCall func(ctx context.Context, namespace, operation string, payload []byte) ([]byte, error)

// binding is the only one guests may name in front of namespace and operation.
const binding = "kubewarden"

var errNoHostCalls = errors.New("host calls are not available here")

// HostCall serves the guest's host call whose eight arguments are pointers to and lengths of
// binding, namespace, operation and payload. The error is for the guest. Names that are not UTF-8
// and bytes outside of its memory trap the guest, and so do a panic in [Call.Host] and a context
// that ended meanwhile. While the image of a [Pool] is made, its WarmUpHost serves instead.
func (i *Instance) HostCall(args []uint64) (response []byte, err error) {
	var parts [4]struct{ ptr, size uint32 }
	var total uint64
	for n := range parts {
		parts[n].ptr, parts[n].size = uint32(args[2*n]), uint32(args[2*n+1])
		total += uint64(parts[n].size)
	}
	if limit := i.program.engine.limits.HostCall; total > uint64(limit) {
		return nil, fmt.Errorf("host call of %d bytes exceeds the limit of %d bytes", total, limit)
	}
	mem := i.Memory()
	var names [3]string
	for n, what := range [...]string{"binding", "namespace", "operation"} {
		names[n] = string(mem.view(parts[n].ptr, uint64(parts[n].size)))
		if !utf8.ValidString(names[n]) {
			Trap("host call: %s %q is not UTF-8", what, names[n])
		}
	}
	payload := mem.Read(parts[3].ptr, parts[3].size)
	if names[0] != binding {
		return nil, fmt.Errorf("unknown binding: %s", names[0])
	}
	serve := i.call.Host
	if i.warmingUp {
		serve = i.warmUpHost
		defer func() { i.refused = i.refused || err != nil }()
	}
	if serve == nil {
		return nil, errNoHostCalls
	}
	response, err = serve.contained(i.ctx, names[1], names[2], payload)
	stopIfDone(i.ctx)
	return response, err
}

// contained calls h and turns its panic into a trap that says where it came from: the fault is the
// host's, but it must cost this evaluation only.
func (h HostCall) contained(ctx context.Context, namespace, operation string, payload []byte) ([]byte, error) {
	defer func() {
		if r := recover(); r != nil {
			panic(&TrapError{
				Text:  fmt.Sprintf("host call %q %q panicked: %v", namespace, operation, r),
				Stack: string(debug.Stack()),
			})
		}
	}()
	return h(ctx, namespace, operation, payload)
}
