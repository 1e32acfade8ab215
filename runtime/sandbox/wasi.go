package sandbox

import (
	"context"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
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
	return b.Instantiate(ctx)
}

// sleeper returns WASI's sleep for guests called with ctx. When ctx ends it does not return to the guest: there it
// could fall asleep again.
func sleeper(ctx context.Context) sys.Nanosleep {
	return func(ns int64) {
		timer := time.NewTimer(time.Duration(ns))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			stopIfDone(ctx)
		}
	}
}
