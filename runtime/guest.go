package runtime

import (
	"bytes"
	"context"
	"time"

	"policy-server/runtime/sandbox"
)

// Mode is how a clean instance comes about.
type Mode = sandbox.Mode

// The modes. The empty one means ModeReset.
const (
	ModeReset = sandbox.ModeReset // an instance is reset to an image after each call, and used again
	ModeFresh = sandbox.ModeFresh // each call has an instance of its own
)

// GuestConfig says how a guest's instances come about. The zero value works.
type GuestConfig struct {
	Mode Mode // default ModeReset

	// MemoryLimit is the size in bytes an instance's memory may reach. Default, and the most, is
	// the engine's limit; it must not be less than the module starts with.
	MemoryLimit int64

	// Idle is how long an instance is kept without a call. Default one minute.
	Idle time.Duration

	// WarmUpHost serves the host calls that the guest makes while its image is made. What it does
	// must reach nothing outside; it may swallow log lines, for instance. If it is nil, or fails,
	// the call fails inside the guest, and the step in which that happened is not kept: see
	// [Guest.WarmUp].
	WarmUpHost HostCall
}

// Stats is what a guest has done so far and has at present.
type Stats = sandbox.Stats

// Discard is why an instance did not serve another call.
type Discard = sandbox.Discard

// Guest is a module with one policy's settings: instances that start from the same image, each call
// in one that is as clean as new. Goroutines may share it.
//
// The image is an instance's state after its init functions and what was warmed up. No request is
// ever part of it. A guest whose state cannot be brought back, or whose image would change what it
// answers, has a new instance for each call instead. [Guest.Stats] tells.
//
// The image of a [WASI] guest is its command at the first read of stdin. Commands that do anything
// before, which would belong to every request, run in new instances, and so do those that were not
// warmed up.
type Guest struct {
	module *Module
	pool   *sandbox.Pool
}

// NewGuest returns a guest of the module. It starts nothing. The error says which value of cfg is
// out of bounds. The caller closes the guest, or the module or engine with all their guests.
func (m *Module) NewGuest(cfg GuestConfig) (*Guest, error) {
	pool, err := m.program.NewPool(sandbox.PoolConfig{
		Mode:        cfg.Mode,
		MemoryLimit: cfg.MemoryLimit,
		Idle:        cfg.Idle,
		WarmUpHost:  cfg.WarmUpHost,
	})
	if err != nil {
		return nil, err
	}
	return &Guest{m, pool}, nil
}

// WarmUp asks the guest q, before the first call, so that calls need not repeat what the guest
// prepares in it. It may be used any number of times. The answer is that of a new instance.
//
// What a guest remembers from a step must not change its answers. A trial makes sure of that: reset
// instances have to come to the same as new ones in every step so far and with an empty payload,
// several times and in turn. A guest that remembers its first request is found out by a second one
// that differs, so warm up with two. A step is not kept if the trial fails, if the guest did not
// answer, or if it made a host call that the config's WarmUpHost does not serve. An error therefore
// leaves the guest as usable as before; it is one of [Module.Call], or [ErrServing] after the first
// call.
func (g *Guest) WarmUp(ctx context.Context, q Question) (Answer, error) {
	step := func(q Question) sandbox.Step {
		return func(ctx context.Context, start sandbox.Starter) (Answer, error) {
			return g.module.run(ctx, start, q, nil)
		}
	}
	// Later steps repeat this one, so the payload is kept. A guest that answers nothing at all like
	// something has stopped looking.
	kept, empty := q, q
	kept.Payload, empty.Payload = bytes.Clone(q.Payload), nil
	return g.pool.WarmUp(ctx, step(kept), step(empty))
}

// EndWarmUp gives up what is needed for warming up only, which the first call does else.
func (g *Guest) EndWarmUp(ctx context.Context) error { return g.pool.EndWarmUp(ctx) }

// Another returns a guest of the same module and configuration that has its image from g, which
// warms up no more. Each has instances of its own. The caller closes it, and g not meanwhile.
func (g *Guest) Another(ctx context.Context) (*Guest, error) {
	pool, err := g.pool.Another(ctx)
	if err != nil {
		return nil, err
	}
	return &Guest{g.module, pool}, nil
}

// Call asks the guest q in a clean instance. It is like [Module.Call] in all but its price.
func (g *Guest) Call(ctx context.Context, q Question, host HostCall) (Answer, error) {
	return g.module.run(ctx, g.pool.Take, q, host)
}

// Turn is a call's place among those that may run guest code at once.
type Turn = sandbox.Turn

// CallInTurn is Call for a caller that shares places with others: turn has one now, gives it up and
// takes it again as the call goes on, and may have none in the end.
func (g *Guest) CallInTurn(ctx context.Context, q Question, host HostCall, turn Turn) (Answer, error) {
	start := func(ctx context.Context, call sandbox.Call) (*sandbox.Instance, error) {
		call.Turn = turn
		return g.pool.Take(ctx, call)
	}
	return g.module.run(ctx, start, q, host)
}

// StartBytes returns how many bytes of memory an instance of the guest starts with.
func (g *Guest) StartBytes() int64 { return g.pool.StartBytes() }

// Stats returns the guest's statistics. The caller may keep them.
func (g *Guest) Stats() Stats { return g.pool.Stats() }

// Close waits for running calls to end, refusing new ones, and frees the guest's instances and
// image. When ctx ends first its error is returned, nothing is freed, and Close may be called
// again.
func (g *Guest) Close(ctx context.Context) error { return g.pool.Close(ctx) }
