package sandbox

import "context"

// Shared is what the engines of one process have together.
type Shared struct {
	cache    *CodeCache // nil: every module is compiled anew, and in this process
	compiler *Compiler  // nil: in this process
	idle     *IdleMemory
	warn     func(error)

	// compiling is held by the one who compiles: each keeps all processors busy, and what they take
	// together must be bounded.
	compiling chan struct{}
}

// NewShared returns what engines share, whose idle instances are bounded by idle. With a cache
// modules are compiled once, and with a compiler besides in processes of their own; either may be
// nil. warn is told what an engine goes on without: its cache, or processes to compile in.
func NewShared(idle *IdleMemory, cache *CodeCache, compiler *Compiler, warn func(error)) *Shared {
	return &Shared{cache: cache, compiler: compiler, idle: idle, warn: warn, compiling: make(chan struct{}, 1)}
}

func (s *Shared) lockCompiling(ctx context.Context) error {
	select {
	case s.compiling <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Shared) unlockCompiling() { <-s.compiling }
