package sandbox

import (
	"cmp"
	"context"
	"iter"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
)

// held is the run of a command that never ends: it stands at its first read of stdin, goes on from
// there when there is a request, and when the command exits the stack is set back to that read.
// Memory and globals are set back by [Instance.reset] meanwhile.
//
// wazero can set a stack back only while the call that had it is running, and each snapshot of one
// serves once. So the call runs in a coroutine, which hands over to its caller at the read and
// nowhere else; and setting the stack back makes the read return retryErrno, on which the rewritten
// command asks again at once, and comes to the same place with a stack that a new snapshot can be
// taken of.
type held struct {
	next func() (struct{}, bool) // goes on until the next hold; false when the run is over
	stop func()
	hand func(struct{}) bool // hands over to the caller of next; false when that is stop

	launcher api.Module
	run      api.Function          // of the launcher; the command's stack is this call's
	snapshot experimental.Snapshot // the stack at the read; nil unless serving
	serving  bool                  // there is a request: reads return
	serves   int                   // requests so far

	exit      error  // how the command ended its last request
	end       error  // what has ended the run itself
	premature string // why the command cannot be held, if that was noticed before its first read
}

// retryErrno is what makes the rewritten command ask again. No function of WASI returns it.
const retryErrno = -1

// maxServes is how many requests one run serves. Each snapshot makes the stack 16 bytes longer, and
// has to be allocated whole: after so many that has added 64 KiB, and starting anew has become
// cheap in comparison.
const maxServes = 4096

// hold returns a new instance whose command, run with args, stands at its first read of stdin, with
// an image of its own of that: what the command has drawn from clocks and randomness may be in its
// stack too, so that no other image would fit. The error is an *[unheldError], or an
// *[InterruptedError] when ctx ends first.
func (p *Program) hold(ctx context.Context, args []string, limit uint64, method ResetMethod) (*Instance, error) {
	h, heap := &held{}, &heapStore{b: p.engine.takeScratch()}
	i := p.newInstance(Call{Args: args}, heap, limit)
	i.held = h
	if err := i.runToRead(ctx); err != nil {
		i.close()
		return nil, err
	}
	if err := i.adopt(i.capture(method), heap); err != nil {
		i.close()
		return nil, &unheldError{err.Error()}
	}
	return i, nil
}

// runToRead makes i and runs its command up to the first read.
func (i *Instance) runToRead(ctx context.Context) error {
	standing := false
	if err := i.instantiate(ctx); err == nil {
		if i.held.launcher, err = i.launch(ctx); err != nil {
			return &unheldError{err.Error()}
		}
		i.program.refuel(i.mod)
		standing = i.held.start(i)
	}
	if err := ended(ctx); err != nil {
		return &InterruptedError{During: duringCall, Err: err}
	}
	if !standing {
		return &unheldError{cmp.Or(i.held.premature, "it ends"+beforeRead)}
	}
	if cause := i.unfit(); cause != "" {
		return &unheldError{cause + beforeRead}
	}
	return nil
}

const beforeRead = " before it reads its request"

// unheldError says why a command cannot be held.
type unheldError struct{ reason string }

func (e *unheldError) Error() string { return e.reason }

// start runs the command of i and reports whether it has come to its first read.
func (h *held) start(i *Instance) bool {
	h.next, h.stop = iter.Pull(func(yield func(struct{}) bool) {
		h.hand = yield
		// The run outlives the request that it is started for; host functions find the context of
		// each in i.
		ctx := experimental.WithSnapshotter(i.self)
		h.run = h.launcher.ExportedFunction(launcherRun)
		_, h.end = h.run.Call(ctx)
	})
	_, standing := h.next()
	return standing
}

// serve lets the run go on with a request, and returns when it stands at the read again or is over.
// The error is how the command ended the request, never nil: also a command that returns has
// exited.
func (h *held) serve() error {
	h.serves++
	if _, standing := h.next(); !standing {
		return h.end
	}
	return h.exit
}

// worn tells whether the run cannot serve another request.
func (h *held) worn() bool { return h.end != nil || h.serves >= maxServes }

// close ends the run.
func (h *held) close() {
	if h.stop != nil {
		h.stop()
	}
	if h.launcher != nil {
		_ = h.launcher.Close(context.Background()) // it has nothing that could fail to close
	}
}

// atRead is called when the command is about to read stdin. At the first read of a request it waits
// for that.
func (h *held) atRead(ctx context.Context) {
	if h.serving {
		return
	}
	if h.hand == nil {
		h.refuse("it reads its request in its start function")
	}
	snapshotter := experimental.GetSnapshotter(ctx)
	if h.serves == 0 && stackLength(snapshotter.Snapshot()) > longStack {
		h.refuse("it goes deep" + beforeRead)
	}
	if !h.hand(struct{}{}) {
		Trap("instance is given up")
	}
	h.snapshot, h.serving = snapshotter.Snapshot(), true
}

// atExit is called when the command exits. It does not return.
func (h *held) atExit(code uint32) {
	h.exit = sys.NewExitError(code)
	if !h.serving {
		panic(h.exit)
	}
	snapshot := h.snapshot
	h.snapshot, h.serving = nil, false
	snapshot.Restore([]uint64{api.EncodeI32(retryErrno)})
}

// before tells whether the command has not come to a request, in an instance that is held.
func (h *held) before() bool { return h != nil && !h.serving }

// refuse ends a command that has not come to its first read.
func (h *held) refuse(reason string) {
	h.premature = reason
	Trap("%s", reason)
}
