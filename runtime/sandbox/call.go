package sandbox

import (
	"context"
	"crypto/rand"
	"io"

	"github.com/tetratelabs/wazero"
)

// Call is one call of a guest: the process that the guest finds around it, and what its host
// functions work with. The guest's environment and file system are always empty, its clocks and its
// source of randomness are real.
type Call struct {
	Args    []string    // the process's; nil: none, not even the program's name
	Stdin   io.Reader   // empty if nil; after io.EOF it may have data again
	Stdout  io.Writer   // may end the guest with [Trap]; nil: Printed has it too
	Printed *Transcript // what the guest writes to stderr; nil: nothing is kept

	Host    HostCall // serves the guest's host calls; nil: each fails inside the guest
	Session any      // what the protocol keeps of the call: [Instance.Session]
	Turn    Turn     // the call's place among those that run guests; nil: it always has one
}

// Turn is a call's place among those that may run guest code at once (package turns). Its errors
// are those of contexts that ended, which also end the guest.
type Turn interface {
	// Tick is called every so often while the guest runs. It may give the place to others
	// meanwhile.
	Tick(ctx context.Context) error
	// Release gives the place up while the guest sleeps, and Acquire takes one again.
	Release()
	Acquire(ctx context.Context) error
	// Grow is asked before the memory holds so many bytes more than an instance starts with
	// ([Pool.StartBytes]), and told when it holds so many fewer. If it says no, the guest is
	// refused the growth.
	Grow(bytes int64) bool
}

// config describes to wazero what is around i. wazero is told once, when an instance is made, and a
// reset instance goes from call to call; so it is given stand-ins, which look at the call in
// progress. Nothing is started by itself, and the instance has no name: there may be many.
//
// A guest may ask for millions of buffers to be read or written in one call of WASI, and no fuel is
// taken meanwhile: so each of them is a place to end it at.
func (i *Instance) config() wazero.ModuleConfig {
	return wazero.NewModuleConfig().
		WithName("").
		WithStartFunctions().
		WithArgs(i.call.Args...).
		WithStdin((*stdin)(i)).
		WithStdout((*stdout)(i)).
		WithStderr((*stderr)(i)).
		WithSysWalltime().
		WithSysNanotime().
		WithNanosleep(i.sleep).
		WithRandSource((*random)(i))
}

type (
	stdin  Instance
	stdout Instance
	stderr Instance
	random Instance
)

func (s *stdin) Read(p []byte) (int, error) {
	stopIfDone(s.ctx)
	if s.call.Stdin == nil {
		return 0, io.EOF
	}
	return s.call.Stdin.Read(p)
}

func (s *stdout) Write(p []byte) (int, error) {
	if s.call.Stdout == nil {
		return (*stderr)(s).Write(p)
	}
	mayPrint(s.ctx, s.held)
	return s.call.Stdout.Write(p)
}

func (s *stderr) Write(p []byte) (int, error) {
	mayPrint(s.ctx, s.held)
	return s.call.Printed.Write(p)
}

// mayPrint ends a guest whose time is over, and a command that prints before its first read: that
// would belong to every request.
func mayPrint(ctx context.Context, h *held) {
	stopIfDone(ctx)
	if h.before() {
		h.refuse("it prints" + beforeRead)
	}
}

// Read draws less than it is asked for when that is much; wazero asks again.
func (s *random) Read(p []byte) (int, error) {
	stopIfDone(s.ctx)
	return rand.Read(p[:min(len(p), pieceLength)])
}
