package sandbox

import (
	"context"

	"policy-server/runtime/wasm"
)

// way is how the instances of a guest come by the state that calls go on from. A [Pool] knows no other difference between
// kinds of guests: what is new is a further implementation.
type way interface {
	// open prepares an engine.
	open(ctx context.Context, e *Engine) error
	// retries lists the imports that modules are rewritten to call again.
	retries() []wasm.Retry

	// fits tells whether an instance that was reset can serve process.
	fits(process Process) bool
	// oneImage tells whether a pool has one image for all its instances, taken after the start. Otherwise each instance
	// has its own.
	oneImage() bool
	// clean returns a new instance for a call, where the pool has no image.
	clean(ctx context.Context, p *Pool, process Process) (*Instance, error)
	// improve lets what the first of the trials prepares serve further calls, if all of them prove that it may.
	improve(ctx context.Context, p *Pool, trials []trial)
	// doubt is why reset instances must not serve in the end; "" when they may. The caller holds p.mu.
	doubt(p *Pool) string
}

// wayOf returns the one that suits a protocol's guests.
func wayOf(abi ABI) way {
	if len(abi.Command) > 0 {
		return command{abi.Command}
	}
	return library{}
}

// library is the way of guests that export functions: after the init functions, and what was warmed up, their memory and
// globals are the image of all instances.
type library struct{}

func (library) open(context.Context, *Engine) error { return nil }
func (library) retries() []wasm.Retry               { return nil }
func (library) fits(Process) bool                   { return true }
func (library) oneImage() bool                      { return true }
func (library) doubt(*Pool) string                  { return "" }

func (library) clean(ctx context.Context, p *Pool, process Process) (*Instance, error) {
	return p.begin(ctx, process)
}

func (library) improve(ctx context.Context, p *Pool, trials []trial) {
	p.improve(ctx, p.currentImage(), trials)
}
