package sandbox

import (
	"context"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// wasiModules are the names guests import WASI preview 1 from. The second is preview 0's: old
// TinyGo guests use it, for functions that are the same in both.
var wasiModules = [...]string{wasi_snapshot_preview1.ModuleName, "wasi_unstable"}

// The functions of WASI that decide how an instance goes on.
const (
	fdRead   = "fd_read"
	poll     = "poll_oneoff"
	procExit = "proc_exit"
)

// instantiateWASI offers WASI under the given name.
func instantiateWASI(ctx context.Context, r wazero.Runtime, name string) (api.Module, error) {
	b := r.NewHostModuleBuilder(name)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	// The stock proc_exit closes the instance, and with it every guest whose _start ends in
	// proc_exit(0) before its first call. This one, which replaces it, only unwinds, or takes the
	// instance back to where it is held.
	b.NewFunctionBuilder().WithGoFunction(api.GoFunc(exit), i32s(1), nil).Export(procExit)
	return b.Instantiate(experimental.WithFunctionListenerFactory(ctx, watch{}))
}

func exit(ctx context.Context, stack []uint64) {
	code := uint32(stack[0])
	if h := instanceOf(ctx).held; h != nil {
		h.atExit(code)
	}
	panic(sys.NewExitError(code))
}

// keepsDescriptors tells whether a function of WASI leaves all descriptors as they are. It is the
// list of what guests use without having opened anything, not of all that would do no harm. Seeking
// and setting flags are in it because standard streams, all there is without opening anything,
// refuse both.
func keepsDescriptors(function string) bool {
	switch function {
	case "args_get", "args_sizes_get", "environ_get", "environ_sizes_get", "clock_res_get", "clock_time_get",
		"fd_fdstat_get", "fd_fdstat_set_flags", "fd_filestat_get", "fd_prestat_dir_name", "fd_prestat_get",
		fdRead, "fd_seek", "fd_write", poll, procExit, "random_get", "sched_yield":
		return true
	}
	return false
}

// watch has listeners called before some functions of WASI.
type watch struct{}

// NewFunctionListener implements wazero's FunctionListenerFactory.
func (watch) NewFunctionListener(f api.FunctionDefinition) experimental.FunctionListener {
	switch name := f.ExportNames()[0]; {
	case !keepsDescriptors(name):
		return changeDescriptors(f)
	case name == fdRead:
		return listener(readStdin)
	case name == poll:
		return listener(checkPoll)
	}
	return nil
}

// changeDescriptors notices the use of functions that may change a process's file descriptors:
// wazero keeps these where a reset does not reach, so that a guest could close one in a call and
// find it closed in the next. Some of them take paths.
func changeDescriptors(f api.FunctionDefinition) listener {
	var lengths []int // the arguments that are lengths of paths
	for i, name := range f.ParamNames() {
		if strings.HasSuffix(name, "path_len") {
			lengths = append(lengths, i)
		}
	}
	return func(ctx context.Context, args []uint64) {
		checkTime(ctx, args)
		for _, i := range lengths {
			if n := uint32(args[i]); n > maxPath {
				Trap("path of %d bytes exceeds the limit of %d", n, maxPath)
			}
		}
		instanceOf(ctx).descriptors = true
	}
}

// maxPath is how many bytes a path may have, as on Linux. There is nothing that one could lead to,
// but wazero copies it several times before it finds that out.
const maxPath = 4096

// checkTime ends a guest whose time is over. It is for functions whose price is the guest's to
// choose, by a length that it gives, and in which nothing else looks at the time.
func checkTime(ctx context.Context, _ []uint64) { stopIfDone(instanceOf(ctx).ctx) }

// maxSubscriptions is how many things a guest may poll at once. There are three descriptors and
// some clocks to ask for, and for each subscription wazero allocates memory, which no limit knows
// of.
const maxSubscriptions = 1024

// checkPoll ends a guest that polls too much.
func checkPoll(ctx context.Context, args []uint64) {
	checkTime(ctx, args)
	if n := uint32(args[2]); n > maxSubscriptions {
		Trap("poll of %d subscriptions exceeds the limit of %d", n, maxSubscriptions)
	}
}

// readStdin holds a command. It comes before wazero's own function looks at memory, which may have
// moved after it.
func readStdin(ctx context.Context, args []uint64) {
	checkTime(ctx, args)
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
