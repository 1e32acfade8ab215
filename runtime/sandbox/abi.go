package sandbox

import (
	"cmp"
	"context"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// ABI is what a guest protocol asks of a module and offers to it, beside WASI, which every guest
// has.
type ABI struct {
	// Kind is what guests are: a [Library] or a [Command].
	Kind Kind
	// Exports are the functions that the protocol calls.
	Exports []Export
	// Hosts are the import modules offered.
	Hosts []HostModule
	// Memory is the import by which a guest may ask its host for its memory. It gets one of its
	// own, of the size that it asks for. nil: no guest may.
	Memory *Import
	// MissingMemory is the trap's text when a guest shares no memory with its host: it neither
	// exports one as "memory" nor imports one.
	MissingMemory string
}

// Export is a function that guests export. Its parameters and results are all i32.
type Export struct {
	Name            string
	Params, Results int
	Missing         string // the reason given when a module lacks it, or has it with another type; has a default
}

// reason says why a module without x does not compile.
func (x Export) reason() string {
	return cmp.Or(x.Missing, fmt.Sprintf("function %q of type %s is not exported", x.Name, typeText(i32s(x.Params), i32s(x.Results))))
}

// Import names what a guest may import.
type Import struct{ Module, Name string }

// HostModule is an import module: a name and its functions.
type HostModule struct {
	Name      string
	Functions []HostFunction
}

// HostFunction is a function that guests import. Its parameters and results are all i32.
type HostFunction struct {
	Name            string
	Params, Results int

	// Call serves one use, by the guest of i. The stack holds the arguments, one an element in its
	// low half, and takes the results from its beginning. The call into the guest waits for it. It
	// may end the guest with [Trap].
	Call func(i *Instance, stack []uint64)
}

// goFunction adapts f to wazero. What f costs may be the guest's to choose, so it is a place to end
// the guest at.
func (f HostFunction) goFunction() api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		i := instanceOf(ctx)
		if i.held.before() {
			i.held.refuse("it calls its host" + beforeRead)
		}
		stopIfDone(i.ctx)
		i.findMemory(mod) // a start section runs before wazero returns the instance
		f.Call(i, stack)
	}
}

// i32s is the type of n parameters or results.
func i32s(n int) []api.ValueType {
	types := make([]api.ValueType, n)
	for i := range types {
		types[i] = api.ValueTypeI32
	}
	return types
}
