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

// instantiateWASI offers WASI under the given name.
func instantiateWASI(ctx context.Context, r wazero.Runtime, name string) (api.Module, error) {
	b := r.NewHostModuleBuilder(name)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	// The stock proc_exit closes the instance, and with it every guest whose _start ends in proc_exit(0) before its
	// first call. This one, which replaces it, only unwinds.
	b.NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) {
			panic(sys.NewExitError(uint32(stack[0])))
		}), i32s(1), nil).
		Export("proc_exit")
	return b.Instantiate(experimental.WithFunctionListenerFactory(ctx, descriptorWatch{}))
}

// descriptorWatch notices the use of WASI functions that may change a process's file descriptors: wazero keeps these
// where a reset does not reach, so that a guest could close one in a call and find it closed in the next.
type descriptorWatch struct{}

// keepsDescriptors tells whether a function of WASI leaves all descriptors as they are. It is the list of what guests
// use without having opened anything, not of all that would do no harm.
func keepsDescriptors(function string) bool {
	switch function {
	case "args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get",
		"fd_fdstat_get", "fd_filestat_get", "fd_prestat_dir_name", "fd_prestat_get", "fd_read", "fd_write",
		"poll_oneoff", "proc_exit", "random_get", "sched_yield":
		return true
	}
	return false
}

// NewFunctionListener implements wazero's FunctionListenerFactory.
func (w descriptorWatch) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	if keepsDescriptors(f.ExportNames()[0]) {
		return nil
	}
	return w
}

// Before implements wazero's FunctionListener.
func (descriptorWatch) Before(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
	instanceOf(ctx).descriptors = true
}

// After implements wazero's FunctionListener.
func (descriptorWatch) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}

// Abort implements wazero's FunctionListener.
func (descriptorWatch) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}
