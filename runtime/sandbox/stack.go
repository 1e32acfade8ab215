package sandbox

import (
	"math"
	"reflect"
)

// wazero's stack for a guest is as long as the longest that a call has needed, up to a hundred
// megabytes, and never shrinks.

// longStack is how many bytes of stack an instance may keep while it waits, and a command that is
// held at its first read: there, all of it is allocated anew for each request. This much takes some
// ten microseconds.
const longStack = 1 << 20

// stackLength returns the length in bytes of the stack, used or not, of a function (api.Function)
// or of a snapshot (experimental.Snapshot). It looks into wazero's own types, for nothing else
// tells: as long as can be if there is no such field.
func stackLength(of any) int {
	stack := reflect.Indirect(reflect.ValueOf(of)).FieldByName("stack")
	if stack.Kind() != reflect.Slice {
		return math.MaxInt
	}
	return stack.Len()
}

// countStack asks the turn for what the stack of the guest that runs has grown by, since it is no
// part of the guest's memory: a guest that recurses has up to a hundred megabytes of it. The first
// megabyte is free. It traps the guest where there is no room for what the stack has grown to.
func (i *Instance) countStack() {
	if i.call.Turn == nil || i.running == nil {
		return
	}
	length := stackLength(i.running)
	if length == math.MaxInt {
		return // nobody can tell
	}
	more := int64(max(length-longStack, 0)) - i.stack
	if more == 0 {
		return
	}
	if !i.call.Turn.Grow(more) {
		Trap("no memory for a stack of %d bytes", length)
	}
	i.stack += more
}
