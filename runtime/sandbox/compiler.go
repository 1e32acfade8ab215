package sandbox

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Compiler compiles modules in processes of their own, one at a time. What a module makes the
// compiler do is so bounded in memory and time, costs this process nothing but the wait, and is
// given back when the process ends.
type Compiler struct {
	// Command starts a process that calls [CompilerMain] with what comes behind it: a program and
	// its first arguments. The process gets no environment. Without a command, and where no process
	// can be started, modules are compiled in this one, and Memory is not held.
	Command []string

	Memory  int64         // bytes the process may take; on other systems than Linux they are not held
	Timeout time.Duration // after which compiling fails
}

// elsewhere tells whether processes are to be started.
func (c *Compiler) elsewhere() bool { return c != nil && len(c.Command) > 0 }

// inTime compiles in this process, if there is a compiler within its time.
func (c *Compiler) inTime(ctx context.Context, compile func(context.Context) error) error {
	if c == nil {
		return compile(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := compile(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return c.outOfTime()
	}
	return err
}

func (c *Compiler) outOfTime() error {
	return &CompileError{Reason: fmt.Sprintf("compiling it took longer than %s", c.Timeout), hint: hintTimeout}
}

// The exit codes of [CompilerMain]. Any other is the process's own end: Go's is 2.
const (
	exitCompiled   = 0
	exitInvalid    = 10 // stdout says why the module cannot be compiled
	exitUnwritable = 11 // stdout says why compiled code could not be written
)

// startError reports that no process could be started: what it should have done can be done here.
type startError struct{ err error }

func (e *startError) Error() string { return "cannot start a process to compile in: " + e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// writeError reports that compiled code could not be written into the cache.
type writeError struct{ reason string }

func (e *writeError) Error() string { return "cannot write compiled code: " + e.reason }

// compile compiles a module into the folder dir, as wazero's cache keeps it. The error is a
// *[CompileError], a *startError, a *writeError, or that of ctx.
func (c *Compiler) compile(ctx context.Context, dir string, pages uint32, code []byte) error {
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	arguments := append(c.Command[1:len(c.Command):len(c.Command)], dir, strconv.FormatUint(uint64(pages), 10), strconv.FormatInt(c.Memory, 10),
		strconv.FormatInt(int64(processorTime(code)/time.Second), 10))
	command := exec.CommandContext(limited, c.Command[0], arguments...)
	command.Env = []string{} // nothing of what this process was told is the compiler's business
	inOwnGroup(command)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return &startError{err}
	}
	if err := command.Start(); err != nil {
		return errors.Join(&startError{err}, stdin.Close())
	}
	giveWay(command.Process.Pid)
	// What is not read is no error of its own: the process has ended then, and says why. Stdin
	// stays open until it has: its end is how the process learns that this one is gone.
	_, _ = stdin.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(code))))
	_, _ = stdin.Write(code)
	err = command.Wait()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return c.outOfTime()
	}
	if state := command.ProcessState; state.UserTime()+state.SystemTime() >= processorTime(code) {
		return &CompileError{Reason: fmt.Sprintf("compiling it took more than %s of processor time, which is much for %d bytes", processorTime(code), len(code))}
	}
	return c.failure(command.ProcessState.ExitCode(), stdout.String(), stderr.String(), err)
}

// processorTime is what compiling a module may take, on all processors together: ten times and more
// what modules from real compilers need, which is half a second for each megabyte. Others wait for
// it, so that it must end soon where processors are free, and must not where they are not.
func processorTime(code []byte) time.Duration {
	return 20*time.Second + time.Duration(len(code)>>20)*5*time.Second
}

// The hints name the server's flags: nobody else compiles with limits.
const (
	hintTimeout = "a module that a compiler made of honest sources needs seconds; --compile-timeout gives it more"
	hintMemory  = "a module that a compiler made of honest sources needs some 300 MB; --compile-memory gives it more"
)

// failure is why the process ended as it did.
func (c *Compiler) failure(exit int, stdout, stderr string, err error) error {
	switch exit {
	case exitInvalid:
		return &CompileError{Reason: stdout}
	case exitUnwritable:
		return &writeError{stdout}
	}
	for _, sign := range []string{"out of memory", "cannot allocate memory", "failed to allocate", "pthread_create failed", "failed to create new OS thread"} {
		if strings.Contains(stderr, sign) {
			return &CompileError{Reason: fmt.Sprintf("compiling it took more than %d bytes of memory", c.Memory), hint: hintMemory}
		}
	}
	first, _, _ := strings.Cut(stderr, "\n")
	if first == "" {
		first = err.Error() // the signal that killed it; where memory is short, the system's choice
	}
	return &CompileError{Reason: "the compiler ended: " + first, Err: err, hint: hintMemory}
}

// CompilerMain is the program behind [Compiler.Command]: arguments and standard streams in, exit
// code out. It compiles one module, for which it may be killed at any time.
func CompilerMain(arguments []string, stdin io.Reader, stdout io.Writer) (exit int) {
	if len(arguments) != 4 {
		fmt.Fprintf(stdout, "%d arguments, want a folder and three numbers", len(arguments))
		return exitUnwritable
	}
	var numbers [3]uint64 // pages of a memory, bytes, seconds
	for i := range numbers {
		n, err := strconv.ParseUint(arguments[i+1], 10, 32+31)
		if err != nil {
			fmt.Fprint(stdout, err)
			return exitUnwritable
		}
		numbers[i] = n
	}
	limitProcess(numbers[1], numbers[2])
	code, err := readCode(stdin)
	if err != nil {
		fmt.Fprint(stdout, err)
		return exitUnwritable
	}
	go exitWithParent(stdin)
	err = compileInto(context.Background(), arguments[0], uint32(numbers[0]), code)
	var unwritable *writeError
	switch {
	case err == nil:
		return exitCompiled
	case errors.As(err, &unwritable):
		fmt.Fprint(stdout, unwritable.reason)
		return exitUnwritable
	}
	fmt.Fprint(stdout, err)
	return exitInvalid
}

// readCode reads a length of eight bytes, least significant first, and so many bytes.
func readCode(stdin io.Reader) ([]byte, error) {
	var length [8]byte
	if _, err := io.ReadFull(stdin, length[:]); err != nil {
		return nil, err
	}
	code := make([]byte, binary.LittleEndian.Uint64(length[:]))
	_, err := io.ReadFull(stdin, code)
	return code, err
}

// exitWithParent ends the process when the one that started it has ended: nobody waits for the code
// then.
func exitWithParent(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin)
	os.Exit(exitUnwritable)
}
