package sandbox

import (
	"context"
	goruntime "runtime"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// The import by which metered code asks the host whether to go on. No guest can import it by
// itself: it is not among the modules offered.
const (
	meterModule = "policy-server:meter"
	meterTick   = "tick"
)

// fuel is what a guest may use between two ticks, in the units of wasm.Meter: some ten microseconds
// of the tightest loop, two milliseconds of the slowest code. That is often enough for the garbage
// collector, which waits for a guest until it ticks, and so rarely that a tick's own price, a tenth
// of a microsecond, does not count.
const fuel = 20_000

// instantiateMeter offers the import.
func instantiateMeter(ctx context.Context, r wazero.Runtime) error {
	b := r.NewHostModuleBuilder(meterModule)
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(tick), nil, nil).Export(meterTick)
	_, err := b.Instantiate(ctx)
	return err
}

// breath is how long a guest may run before it lets other threads on its processor go first, and
// turn how long before it lets other goroutines. Left to itself the system would take the processor
// away after 3 ms, and Go after 10, and then again for each of the steps in which a connection or a
// collector moves on. Without anybody who waits a breath costs a fifth of a microsecond. A turn may
// cost twenty, since Go wakes another thread to see whether there is something to do.
const (
	breath = 100 * time.Microsecond
	turn   = time.Millisecond
)

// tick ends the guest when its time is over, and else lets it go on. That the guest has come back
// to Go is half of what it is for: only here can the collector stop it.
func tick(ctx context.Context, mod api.Module, _ []uint64) {
	i := instanceOf(ctx)
	stopIfDone(i.ctx)
	if i.call.Turn != nil && i.call.Turn.Tick(i.ctx) != nil {
		stopIfDone(i.ctx)
	}
	now := time.Now()
	if now.Sub(i.turn) >= turn {
		i.turn = now
		goruntime.Gosched()
	}
	if now.Sub(i.breath) >= breath {
		i.breath = now
		i.countStack()
		yieldThread()
	}
	i.program.refuel(mod)
}

// refuel gives an instance the fuel until its next tick.
func (p *Program) refuel(mod api.Module) {
	mod.ExportedGlobal(p.fuel).(api.MutableGlobal).Set(api.EncodeI32(fuel))
}

// ended returns the error of a context that has ended, or whose deadline has passed: with all
// processors busy it may be late in noticing that itself.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// stopIfDone ends the running guest when its context has ended. [Instance.failed] tells by the
// context that this is why.
func stopIfDone(ctx context.Context) {
	if err := ended(ctx); err != nil {
		panic(&TrapError{Text: err.Error()})
	}
}

// sleep is WASI's sleep. A guest that sleeps has no place. When the call's context ends it does not
// return to the guest: there it could fall asleep again.
func (i *Instance) sleep(ns int64) {
	if i.call.Turn != nil {
		i.call.Turn.Release()
	}
	timer := time.NewTimer(time.Duration(ns))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.ctx.Done():
		stopIfDone(i.ctx)
	}
	if i.call.Turn != nil && i.call.Turn.Acquire(i.ctx) != nil {
		stopIfDone(i.ctx)
	}
}
