package wasi

import "policy-server/runtime/sandbox"

// hostModules offer the same function under both names in use: that of Go guests and that of
// JavaScript guests.
func hostModules() []sandbox.HostModule {
	functions := []sandbox.HostFunction{{Name: "call", Params: 8, Results: 1, Call: call}}
	return []sandbox.HostModule{
		{Name: "host", Functions: functions},
		{Name: "kubewarden:javy/host", Functions: functions},
	}
}

// call returns 0 on success and 1 on failure, the reverse of waPC, and puts the response or the
// error's text into the guest's stdin.
func call(i *sandbox.Instance, stack []uint64) {
	s := i.Session().(*session)
	// A guest that never reads would make the host remember every answer.
	if s.stdin.unread > s.unreadLimit {
		sandbox.Trap("host call while %d bytes of stdin are unread", s.stdin.unread)
	}
	response, err := i.HostCall(stack)
	if err != nil {
		s.stdin.append([]byte(err.Error()))
		stack[0] = 1
		return
	}
	s.stdin.append(response)
	stack[0] = 0
}
