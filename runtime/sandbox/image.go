package sandbox

import (
	"context"
	"sync/atomic"
)

// image is the state that a reset instance returns to: all there is, in a program without anything
// unsafe.
type image struct {
	content *content     // nil if the program has no memory
	globals []uint64     // in the order of the program's
	others  atomic.Int64 // pools that use it, besides the first
}

// capture takes the state of i, which must be fit for it.
func (i *Instance) capture(method ResetMethod) *image {
	img := &image{globals: make([]uint64, len(i.globals))}
	for n, global := range i.globals {
		img.globals[n] = global.Get()
	}
	if i.memory != nil {
		if i.atMaximum() {
			method = ResetCopy // it cannot be moved either
		}
		img.content = i.program.engine.system.newContent(i.linear.b, method)
	}
	return img
}

// atMaximum tells whether the memory is as large as any can be, so that there is no spare page to
// move it by.
func (i *Instance) atMaximum() bool { return len(i.linear.b) >= maxPages*PageSize }

// share adds a pool to those that use the image, which may be nil.
func (img *image) share() *image {
	if img != nil {
		img.others.Add(1)
	}
	return img
}

// free gives the image up, whose instances must be closed already; the last pool that uses it frees
// it. It may be called on nil.
func (img *image) free() {
	if img != nil && img.others.Add(-1) < 0 && img.content != nil {
		img.content.free()
	}
}

// clone returns an instance in the state of img. Its start section runs, since nothing else can
// make an instance, but not its init functions: all they have done is in the image.
func (p *Program) clone(ctx context.Context, img *image, limit uint64) (*Instance, error) {
	heap := p.engine.newHeap()
	i := p.newInstance(Call{}, heap, limit)
	i.warmUp(nil) // the start section must not reach anything in the name of a request
	if err := i.instantiate(ctx); err != nil {
		return nil, i.failed(duringStart, err)
	}
	if err := i.adopt(img, heap); err != nil {
		i.close()
		return nil, &TrapError{Text: err.Error()}
	}
	return i, nil
}

// adopt brings the instance, whose memory is heap, to the state of img for the first time.
func (i *Instance) adopt(img *image, heap *heapStore) error {
	i.image = img
	if img.content == nil {
		return i.reset()
	}
	i.linear.start = uint64(len(img.content.bytes))
	// Where the system has no address space left, copying still works.
	heap.image = img.content.bytes
	if img.content.method != ResetCopy {
		if s, err := i.program.engine.system.newStore(img.content, i.linear.limit); err == nil {
			if err := i.linear.adopt(s, i.memory); err != nil {
				return err
			}
			heap.spent = i.program.engine.giveScratch
			heap.free()
		}
	}
	return i.reset()
}

// reset brings the instance to the state of its image. After an error it must not be used again.
//
// wazero's stack is no state, but a call that made it long leaves it to the collector; a command
// that is held gets the short one back anyway.
func (i *Instance) reset() error {
	if i.image.content != nil {
		if err := i.linear.rewind(i.memory); err != nil {
			return err
		}
	}
	for n, global := range i.globals {
		global.Set(i.image.globals[n])
	}
	for n, f := range i.functions {
		if f != nil && stackLength(f) > longStack {
			i.functions[n] = nil
		}
	}
	i.warmingUp, i.warmUpHost, i.refused, i.descriptors, i.fault = false, nil, false, false, nil
	i.ctx, i.call, i.running, i.stack = nil, Call{}, nil, 0
	return nil
}

// own is how many bytes of memory i has for itself after a reset.
func (i *Instance) own() int64 {
	content := i.image.content
	if content == nil {
		return 0
	}
	if i.held != nil {
		return i.linear.store.own() + int64(len(content.bytes))
	}
	return i.linear.store.own()
}
