package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// PoolConfig says how a pool comes by clean instances. The zero value works.
type PoolConfig struct {
	Mode        Mode          // default ModeReset
	MemoryLimit int64         // bytes an instance's memory may reach, at most the engine's limit, which is the default
	Idle        time.Duration // how long an instance is kept without a call, a large one less; default one minute
	Reset       ResetMethod   // default ResetAuto; one that the system lacks is replaced by one it has

	// WarmUpHost serves the host calls made while the image is made. It must not reach anything
	// outside. If it is nil or returns an error, what the guest did next is not worth keeping: see
	// [Pool.WarmUp].
	WarmUpHost HostCall
}

const defaultIdle = time.Minute

// Pool has clean instances of one program for calls that share an image. It makes them when they
// are needed, so there are at most as many as calls at the same time, and gives them up when they
// have been idle for a while. Goroutines may share it.
type Pool struct {
	program *Program
	cfg     PoolConfig
	limit   uint64       // bytes of memory
	start   atomic.Int64 // bytes of memory its instances start with
	images  images
	gate    gate

	making chan struct{} // holds one element while the image is being made or replaced
	trials []trial       // guarded by making: what was warmed up

	mu      sync.Mutex
	serving bool        // a call has been made: the image is final
	fresh   bool        // the mode in force is ModeFresh
	reason  string      // why, if that is not what was asked for
	idle    []idler     // the one used last at the end
	trimmer *time.Timer // runs while there are idle instances
	trimAt  time.Time   // when it goes off
	stats   Stats
}

// NewPool returns a pool of the program's instances. It starts nothing. The error says that a value
// of cfg is out of bounds. The caller closes the pool, or the program or engine with all their
// pools.
func (p *Program) NewPool(cfg PoolConfig) (*Pool, error) {
	most := int64(p.engine.limits.MemoryPages) * PageSize
	least := max(int64(p.memoryMin)*PageSize, PageSize)
	switch {
	case cfg.Mode != "" && cfg.Mode != ModeReset && cfg.Mode != ModeFresh:
		return nil, fmt.Errorf("mode %q: unknown; known: %s, %s", cfg.Mode, ModeReset, ModeFresh)
	case cfg.MemoryLimit != 0 && (cfg.MemoryLimit < least || cfg.MemoryLimit > most):
		return nil, fmt.Errorf("memory limit %d: must be from %d bytes, with which the module starts, to the runtime's %d",
			cfg.MemoryLimit, least, most)
	case cfg.Idle < 0:
		return nil, fmt.Errorf("idle time %s: must not be negative", cfg.Idle)
	}
	cfg.Idle = cmp.Or(cfg.Idle, defaultIdle)
	pool := &Pool{
		program: p,
		cfg:     cfg,
		limit:   uint64(cmp.Or(cfg.MemoryLimit, most)) &^ (PageSize - 1),
		making:  make(chan struct{}, 1),
		stats:   Stats{Discards: map[Discard]uint64{}},
	}
	pool.start.Store(int64(p.memoryMin * PageSize))
	pool.images = p.engine.abi.Kind.images(pool)
	switch {
	case cfg.Mode == ModeFresh:
		pool.fresh = true
	case len(p.unsafe) > 0:
		pool.runFresh("its state is more than memory and globals: " + p.unsafe[0])
	}
	p.engine.addPool(pool)
	return pool, nil
}

// StartBytes returns how many bytes of memory an instance starts with.
func (p *Pool) StartBytes() int64 { return p.start.Load() }

// Take returns a clean instance: one whose state is exactly the image's, or in fresh mode a new one
// whose init functions have run. Errors are those of [Program.Start]. The caller releases the
// instance, which then goes back to the pool.
//
// The first call makes the image if nothing has been warmed up; others wait for it.
func (p *Pool) Take(ctx context.Context, c Call) (*Instance, error) {
	if err := ended(ctx); err != nil {
		return nil, &InterruptedError{During: duringStart, Err: err}
	}
	if !p.enter() {
		return nil, ErrClosed
	}
	i, err := p.take(ctx, c)
	if err != nil {
		p.leave()
		return nil, err
	}
	return i, nil
}

func (p *Pool) take(ctx context.Context, c Call) (*Instance, error) {
	err := p.finish(ctx, c)
	if err != nil {
		return nil, err
	}
	var i *Instance
	if p.images.fits(c) {
		i = p.takeIdle()
	}
	if i != nil {
		i.call = c
	} else if i, err = p.newClean(ctx, c); err != nil {
		return nil, err
	}
	i.release = p.giveBack
	return i, nil
}

// newClean returns a new instance, one that can be reset where there may be such.
func (p *Pool) newClean(ctx context.Context, c Call) (*Instance, error) {
	if p.runsFresh() || !p.images.fits(c) {
		return p.begin(ctx, c)
	}
	return p.images.clone(ctx, c)
}

// finish ends the warming up: what there is by now is what serves.
func (p *Pool) finish(ctx context.Context, c Call) error {
	if p.isServing() {
		return nil
	}
	if err := p.lockMaking(ctx); err != nil {
		return err
	}
	defer p.unlockMaking()
	if p.isServing() {
		return nil // another call has finished it meanwhile
	}
	if !p.runsFresh() {
		if err := p.images.prepare(ctx, c); err != nil {
			return err
		}
	}
	p.seal()
	return nil
}

// Another returns a pool of the same program and configuration, which has its image from p: p warms
// up no more. It takes no memory beyond that of its instances. The caller closes it too, and p not
// before Another has returned.
func (p *Pool) Another(ctx context.Context) (*Pool, error) {
	if err := p.EndWarmUp(ctx); err != nil {
		return nil, err
	}
	another, err := p.program.NewPool(p.cfg)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	serving, fresh, reason := p.serving, p.fresh, p.reason
	p.mu.Unlock()
	if !serving {
		return another, nil // there was no image to share: it makes its own
	}
	another.serving, another.fresh, another.reason = true, fresh, reason
	another.images = p.images.shared(another)
	return another, nil
}

// EndWarmUp gives up what is needed for warming up only, which the first [Pool.Take] does else. A
// pool that was not warmed up has nothing to give up yet. The error is that of ctx, while others
// warm up.
func (p *Pool) EndWarmUp(ctx context.Context) error {
	if err := p.lockMaking(ctx); err != nil {
		return err
	}
	defer p.unlockMaking()
	if !p.isServing() && len(p.trials) > 0 {
		p.seal()
	}
	return nil
}

// seal makes the image final.
func (p *Pool) seal() {
	p.trials = nil
	reason := p.images.seal(p.runsFresh())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving = true
	if reason != "" && !p.fresh {
		p.fresh, p.reason = true, reason
	}
}

func (p *Pool) lockMaking(ctx context.Context) error {
	select {
	case p.making <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &InterruptedError{During: duringStart, Err: ctx.Err()}
	}
}

func (p *Pool) unlockMaking() { <-p.making }

// begin returns a new instance whose init functions have run.
func (p *Pool) begin(ctx context.Context, c Call) (*Instance, error) {
	i := p.program.newInstance(c, p.program.engine.newHeap(), p.limit)
	if err := i.start(ctx); err != nil {
		return nil, err
	}
	p.countStart()
	return i, nil
}

// cloneOf returns a new instance in the state of img.
func (p *Pool) cloneOf(ctx context.Context, c Call, img *image) (*Instance, error) {
	i, err := p.program.clone(ctx, img, p.limit)
	if err != nil {
		return nil, err
	}
	i.call = c
	p.countStart()
	return i, nil
}

func (p *Pool) countStart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Started++
	p.stats.Instances++
}

// countImage tells the statistics of img, which may be nil.
func (p *Pool) countImage(img *image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.ImageBytes, p.stats.Method = 0, ""
	p.start.Store(int64(p.program.memoryMin * PageSize))
	if img != nil && img.content != nil {
		p.stats.ImageBytes, p.stats.Method = len(img.content.bytes), img.content.method
		p.start.Store(int64(len(img.content.bytes)))
	}
}

func (p *Pool) discard(i *Instance, cause Discard) {
	i.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Instances--
	p.stats.Discards[cause]++
}

// Close waits for running calls to end, refusing new ones, and frees all instances and the image.
// When ctx ends first it returns the context's error with nothing freed, and may be called again.
func (p *Pool) Close(ctx context.Context) error {
	if err := p.gate.close(ctx); err != nil {
		return fmt.Errorf("guest: wait for running calls: %w", err)
	}
	p.program.engine.removePool(p) // no other pool's instances make room in this one any more
	p.mu.Lock()
	idle := p.withdraw(len(p.idle))
	if p.trimmer != nil {
		p.trimmer.Stop()
	}
	p.mu.Unlock()
	for _, i := range idle {
		p.discard(i.instance, DiscardIdle)
	}
	p.images.free()
	return nil
}

// enter counts a call in at the pool, its program and its engine.
func (p *Pool) enter() bool {
	if !p.gate.enter() {
		return false
	}
	if !p.program.enter() {
		p.gate.leave()
		return false
	}
	return true
}

func (p *Pool) leave() {
	p.program.leave()
	p.gate.leave()
}
