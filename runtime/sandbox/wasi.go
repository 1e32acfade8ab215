package sandbox

import (
	"context"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// wasiModules are the names guests import WASI preview 1 from. The second is preview 0's: old TinyGo guests use it,
// for functions that are the same in both.
var wasiModules = [...]string{wasi_snapshot_preview1.ModuleName, "wasi_unstable"}

// The functions of WASI that decide how an instance goes on.
const (
	fdRead   = "fd_read"
	procExit = "proc_exit"
)

// instantiateWASI offers WASI under the given name. Of commands it tells the instance when they read.
func instantiateWASI(ctx context.Context, r wazero.Runtime, name string, commands bool) (api.Module, error) {
	b := r.NewHostModuleBuilder(name)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	// The stock proc_exit closes the instance, and with it every guest whose _start ends in proc_exit(0) before its
	// first call. This one, which replaces it, only unwinds, or takes the instance back to where it is held.
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(exit), i32s(1), nil).Export(procExit)
	return b.Instantiate(experimental.WithFunctionListenerFactory(ctx, watch{commands}))
}

func exit(ctx context.Context, stack []uint64) {
	code := uint32(stack[0])
	if h := instanceOf(ctx).held; h != nil {
		h.atExit(code)
	}
	panic(sys.NewExitError(code))
}

// keepsDescriptors tells whether a function of WASI leaves all descriptors as they are. It is the list of what guests
// use without having opened anything, not of all that would do no harm. Seeking and setting flags are in it because
// standard streams, all there is without opening anything, refuse both.
func keepsDescriptors(function string) bool {
	switch function {
	case "args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get",
		"fd_fdstat_get", "fd_fdstat_set_flags", "fd_filestat_get", "fd_prestat_dir_name", "fd_prestat_get",
		fdRead, "fd_seek", "fd_write", "poll_oneoff", procExit, "random_get", "sched_yield":
		return true
	}
	return false
}

// watch has listeners called before some functions of WASI.
type watch struct{ commands bool }

// NewFunctionListener implements wazero's FunctionListenerFactory.
func (w watch) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	switch name := f.ExportNames()[0]; {
	case !keepsDescriptors(name):
		return listener(changeDescriptors)
	case name == fdRead && w.commands:
		return listener(readStdin)
	}
	return nil
}

// changeDescriptors notices the use of functions that may change a process's file descriptors: wazero keeps these where
// a reset does not reach, so that a guest could close one in a call and find it closed in the next.
func changeDescriptors(ctx context.Context, _ []uint64) { instanceOf(ctx).descriptors = true }

// readStdin holds a command. It comes before wazero's own function looks at memory, which may have moved after it.
func readStdin(ctx context.Context, args []uint64) {
	const stdin = 0
	if h := instanceOf(ctx).held; h != nil && uint32(args[0]) == stdin {
		h.atRead(ctx)
	}
}

// listener is called before a function, with its arguments.
type listener func(ctx context.Context, args []uint64)

// Before implements wazero's FunctionListener.
func (l listener) Before(ctx context.Context, _ api.Module, _ api.FunctionDefinition, args []uint64, _ experimental.StackIterator) {
	l(ctx, args)
}

// After implements wazero's FunctionListener.
func (listener) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}

// Abort implements wazero's FunctionListener.
func (listener) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}
