package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// PoolConfig says how a pool comes by clean instances. The zero value works.
type PoolConfig struct {
	Mode        Mode          // default ModeReset
	MemoryLimit int64         // bytes an instance's memory may reach, at most the engine's limit, which is the default
	Idle        time.Duration // how long an instance is kept without a call; default one minute
	Reset       ResetMethod   // default ResetAuto; one that the system lacks is replaced by one it has

	// WarmUpHost serves the host calls made while the image is made. It must not reach anything outside. If it is nil
	// or returns an error, what the guest did next is not worth keeping: see [Pool.WarmUp].
	WarmUpHost HostCall
}

const defaultIdle = time.Minute

// Pool has clean instances of one program for calls that share an image. It makes them when they are needed, so there
// are at most as many as calls at the same time, and gives them up when they have been idle for a while. Goroutines
// may share it.
type Pool struct {
	program *Program
	cfg     PoolConfig
	limit   uint64 // bytes of memory
	gate    gate

	making chan struct{} // holds one element while the image is being made or replaced
	base   *image        // guarded by making: the state after the init functions
	trials []trial       // guarded by making
	proven bool          // guarded by making: held commands have passed them

	mu      sync.Mutex
	serving bool        // a call has been made: the image is final
	image   *image      // nil until it is made
	fresh   bool        // the mode in force is ModeFresh
	reason  string      // why, if that is not what was asked for
	idle    []idler     // the one used last at the end
	trimmer *time.Timer // runs while there are idle instances
	stats   Stats
}

// NewPool returns a pool of the program's instances. It starts nothing. The error says that a value of cfg is out of
// bounds. The caller closes the pool, or the program or engine with all their pools.
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
	switch {
	case cfg.Mode == ModeFresh:
		pool.fresh = true
	case len(p.unsafe) > 0:
		pool.runFresh("its state is more than memory and globals: " + p.unsafe[0])
	}
	p.engine.addPool(pool)
	return pool, nil
}

// Take returns a clean instance: one whose state is exactly the image's, or in fresh mode a new one whose init
// functions have run. Errors are those of [Program.Start]. The caller releases the instance, which then goes back to
// the pool.
//
// The first call makes the image if nothing has been warmed up; others wait for it.
func (p *Pool) Take(ctx context.Context, process Process) (*Instance, error) {
	if err := ended(ctx); err != nil {
		return nil, &InterruptedError{During: duringStart, Err: err}
	}
	if !p.enter() {
		return nil, ErrClosed
	}
	i, err := p.take(ctx, process)
	if err != nil {
		p.leave()
		return nil, err
	}
	return i, nil
}

func (p *Pool) take(ctx context.Context, process Process) (*Instance, error) {
	img, err := p.finalImage(ctx, process)
	if err != nil {
		return nil, err
	}
	var i *Instance
	if p.way().fits(process) {
		i = p.takeIdle()
	}
	if i != nil {
		i.surroundings.process = process
	} else if i, err = p.newClean(ctx, process, img); err != nil {
		return nil, err
	}
	i.release = p.giveBack
	return i, nil
}

func (p *Pool) way() way { return p.program.engine.way }

// newClean returns a new instance, in the state of img unless that is nil, or one that the guest's way makes.
func (p *Pool) newClean(ctx context.Context, process Process, img *image) (*Instance, error) {
	if img != nil {
		return p.clone(ctx, process, img)
	}
	return p.way().clean(ctx, p, process)
}

// finalImage returns the image that calls are served with, or nil if they are served with new instances.
func (p *Pool) finalImage(ctx context.Context, process Process) (*image, error) {
	p.mu.Lock()
	img, final := p.image, p.serving
	p.mu.Unlock()
	if final {
		return img, nil
	}
	if err := p.lockMaking(ctx); err != nil {
		return nil, err
	}
	defer p.unlockMaking()
	if err := p.makeImage(ctx, process); err != nil {
		return nil, err
	}
	return p.seal(), nil
}

// seal makes the image final, and returns it.
func (p *Pool) seal() *image {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving = true
	if doubt := p.way().doubt(p); doubt != "" && !p.fresh {
		p.fresh, p.reason = true, doubt
	}
	if p.fresh {
		p.image.free()
		p.image = nil
	}
	if p.base != p.image {
		p.base.free()
	}
	p.base, p.trials = nil, nil
	return p.image
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
func (p *Pool) begin(ctx context.Context, process Process) (*Instance, error) {
	i := p.program.newInstance(process, p.program.engine.newHeap(), p.limit)
	if err := i.start(ctx); err != nil {
		return nil, err
	}
	p.countStart()
	return i, nil
}

// clone returns a new instance in the state of img.
func (p *Pool) clone(ctx context.Context, process Process, img *image) (*Instance, error) {
	i, err := p.program.clone(ctx, process.Session, img, p.limit)
	if err != nil {
		return nil, err
	}
	i.surroundings.process = process
	p.countStart()
	return i, nil
}

func (p *Pool) countStart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Started++
	p.stats.Instances++
}

func (p *Pool) discard(i *Instance, cause Discard) {
	i.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Instances--
	p.stats.Discards[cause]++
}

// Close waits for running calls to end, refusing new ones, and frees all instances and the image. When ctx ends first
// it returns the context's error with nothing freed, and may be called again.
func (p *Pool) Close(ctx context.Context) error {
	if err := p.gate.close(ctx); err != nil {
		return fmt.Errorf("guest: wait for running calls: %w", err)
	}
	p.mu.Lock()
	idle, images := p.idle, []*image{p.image, p.base}
	p.idle, p.image, p.base = nil, nil, nil
	if p.trimmer != nil {
		p.trimmer.Stop()
	}
	p.mu.Unlock()
	for _, i := range idle {
		p.discard(i.instance, DiscardIdle)
	}
	for _, img := range images {
		img.free()
	}
	p.program.engine.removePool(p)
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
