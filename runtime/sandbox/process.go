package sandbox

import (
	"context"
	"crypto/rand"
	"io"

	"github.com/tetratelabs/wazero"
)

// Process is what a guest sees of a process around it. Its environment and its file system are always empty, its
// clocks and its source of randomness are real.
type Process struct {
	Args           []string  // none, not even the program's name, if nil; in an instance of a [Pool] none, but for commands
	Stdin          io.Reader // empty if nil; after io.EOF it may have data again
	Stdout, Stderr io.Writer // discarded if nil; may end the guest with [Trap]
	Session        any       // the protocol's, for its host functions; see [Instance.Session]
}

// surroundings stand between an instance and the process it is in at present: wazero is told once, when an instance
// is made, and a reset instance goes from call to call.
//
// A guest may ask for millions of buffers to be read or written in one call of WASI, and no fuel is taken meanwhile: so
// each of them is a place to end it at.
type surroundings struct {
	ctx     context.Context // of the call in progress
	process Process
}

// config describes s to wazero. Nothing is started by itself, and the instance has no name: there may be many.
func (s *surroundings) config() wazero.ModuleConfig {
	return wazero.NewModuleConfig().
		WithName("").
		WithStartFunctions().
		WithArgs(s.process.Args...).
		WithStdin((*stdin)(s)).
		WithStdout((*stdout)(s)).
		WithStderr((*stderr)(s)).
		WithSysWalltime().
		WithSysNanotime().
		WithNanosleep(func(ns int64) { sleep(s.ctx, ns) }).
		WithRandSource((*random)(s))
}

type (
	stdin  surroundings
	stdout surroundings
	stderr surroundings
	random surroundings
)

func (s *stdin) Read(p []byte) (int, error) {
	stopIfDone(s.ctx)
	if s.process.Stdin == nil {
		return 0, io.EOF
	}
	return s.process.Stdin.Read(p)
}

func (s *stdout) Write(p []byte) (int, error) { return write(s.ctx, s.process.Stdout, p) }

func (s *stderr) Write(p []byte) (int, error) { return write(s.ctx, s.process.Stderr, p) }

// Read draws less than it is asked for when that is much; wazero asks again.
func (s *random) Read(p []byte) (int, error) {
	stopIfDone(s.ctx)
	return rand.Read(p[:min(len(p), pieceLength)])
}

func write(ctx context.Context, w io.Writer, p []byte) (int, error) {
	stopIfDone(ctx)
	if w == nil {
		return len(p), nil
	}
	return w.Write(p)
}
