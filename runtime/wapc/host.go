package wapc

import "policy-server/runtime/sandbox"

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

// guestRequest writes the operation's name and the payload to where the guest has made room for
// both.
func guestRequest(i *sandbox.Instance, stack []uint64) {
	s, mem := sessionOf(i), i.Memory()
	mem.Write(uint32(stack[1]), s.question.Payload)
	mem.Write(uint32(stack[0]), []byte(s.question.Operation))
}

func guestResponse(i *sandbox.Instance, stack []uint64) {
	s := sessionOf(i)
	s.response = s.take(i.Memory(), "response", stack)
}

func guestError(i *sandbox.Instance, stack []uint64) {
	s := sessionOf(i)
	s.failure = s.take(i.Memory(), "error text", stack)
}

// take copies what the guest says. Over the limit the guest is ended: a part of an answer is none.
func (s *session) take(mem sandbox.Memory, what string, stack []uint64) []byte {
	ptr, size := uint32(stack[0]), uint32(stack[1])
	if uint64(size) > uint64(s.outputLimit) {
		sandbox.Trap("%s of %d bytes exceeds the limit of %d bytes", what, size, s.outputLimit)
	}
	return mem.Read(ptr, size)
}

// hostCall returns 1 on success, with the response kept for the guest to fetch, and 0 with the
// error's text.
func hostCall(i *sandbox.Instance, stack []uint64) {
	s := sessionOf(i)
	s.hostResponse, s.hostError = nil, nil
	response, err := i.HostCall(stack)
	if err != nil {
		s.hostError = []byte(err.Error())
		stack[0] = 0
		return
	}
	s.hostResponse = response
	stack[0] = 1
}

func hostResponseLen(i *sandbox.Instance, stack []uint64) {
	stack[0] = uint64(uint32(len(sessionOf(i).hostResponse)))
}

func hostErrorLen(i *sandbox.Instance, stack []uint64) {
	stack[0] = uint64(uint32(len(sessionOf(i).hostError)))
}

func hostResponse(i *sandbox.Instance, stack []uint64) {
	if b := sessionOf(i).hostResponse; b != nil {
		i.Memory().Write(uint32(stack[0]), b)
	}
}

func hostError(i *sandbox.Instance, stack []uint64) {
	if b := sessionOf(i).hostError; b != nil {
		i.Memory().Write(uint32(stack[0]), b)
	}
}

// consoleLog adds a line to what the guest printed.
func consoleLog(i *sandbox.Instance, stack []uint64) {
	printed := sessionOf(i).printed
	i.Memory().Print(printed, uint32(stack[0]), uint32(stack[1]))
	_, _ = printed.Write([]byte{'\n'}) // a transcript never fails
}
