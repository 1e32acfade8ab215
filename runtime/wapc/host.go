package wapc

import (
	"context"

	"policy-server/runtime/sandbox"
)

// hostModule is the import module "wapc". A guest imports what it needs of it.
func hostModule() sandbox.HostModule {
	return sandbox.HostModule{Name: "wapc", Functions: []sandbox.HostFunction{
		{Name: "__guest_request", Params: 2, Call: guestRequest},
		{Name: "__guest_response", Params: 2, Call: guestResponse},
		{Name: "__guest_error", Params: 2, Call: guestError},
		{Name: "__host_call", Params: 8, Results: 1, Call: hostCall},
		{Name: "__host_response_len", Results: 1, Call: hostResponseLen},
		{Name: "__host_response", Params: 1, Call: hostResponse},
		{Name: "__host_error_len", Results: 1, Call: hostErrorLen},
		{Name: "__host_error", Params: 1, Call: hostError},
		{Name: "__console_log", Params: 2, Call: consoleLog},
	}}
}

// guestRequest writes the operation's name and the payload to where the guest has made room for both.
func guestRequest(ctx context.Context, mem sandbox.Memory, stack []uint64) {
	s := sessionOf(ctx)
	mem.Write(uint32(stack[1]), s.payload)
	mem.Write(uint32(stack[0]), []byte(s.operation))
}

func guestResponse(ctx context.Context, mem sandbox.Memory, stack []uint64) {
	s := sessionOf(ctx)
	s.response = s.take(mem, "response", stack)
}

func guestError(ctx context.Context, mem sandbox.Memory, stack []uint64) {
	s := sessionOf(ctx)
	s.failure = s.take(mem, "error text", stack)
}

// take copies what the guest says. Over the limit the guest is ended: a part of an answer is none.
func (s *session) take(mem sandbox.Memory, what string, stack []uint64) []byte {
	ptr, size := uint32(stack[0]), uint32(stack[1])
	if uint64(size) > uint64(s.limits.Output) {
		sandbox.Trap("%s of %d bytes exceeds the limit of %d bytes", what, size, s.limits.Output)
	}
	return mem.Read(ptr, size)
}

// hostCall returns 1 on success, with the response kept for the guest to fetch, and 0 with the error's text.
func hostCall(ctx context.Context, mem sandbox.Memory, stack []uint64) {
	s := sessionOf(ctx)
	s.hostResponse, s.hostError = nil, nil
	response, err := s.host.Do(ctx, mem, stack)
	if err != nil {
		s.hostError = []byte(err.Error())
		stack[0] = 0
		return
	}
	s.hostResponse = response
	stack[0] = 1
}

func hostResponseLen(ctx context.Context, _ sandbox.Memory, stack []uint64) {
	stack[0] = uint64(uint32(len(sessionOf(ctx).hostResponse)))
}

func hostErrorLen(ctx context.Context, _ sandbox.Memory, stack []uint64) {
	stack[0] = uint64(uint32(len(sessionOf(ctx).hostError)))
}

func hostResponse(ctx context.Context, mem sandbox.Memory, stack []uint64) {
	if b := sessionOf(ctx).hostResponse; b != nil {
		mem.Write(uint32(stack[0]), b)
	}
}

func hostError(ctx context.Context, mem sandbox.Memory, stack []uint64) {
	if b := sessionOf(ctx).hostError; b != nil {
		mem.Write(uint32(stack[0]), b)
	}
}

// consoleLog adds a line to what the guest printed.
func consoleLog(ctx context.Context, mem sandbox.Memory, stack []uint64) {
	printed := sessionOf(ctx).printed
	mem.Print(printed, uint32(stack[0]), uint32(stack[1]))
	_, _ = printed.Write([]byte{'\n'}) // a transcript never fails
}
