package runtime

import (
	"cmp"
	"fmt"
	"io"

	"policy-server/runtime/sandbox"
)

// Config bounds what one call of a guest may use. A limit that is exceeded costs that call only.
// The zero value is usable: a field that is 0 means its default.
type Config struct {
	// MemoryLimit is the size in bytes an instance's memory may reach, rounded down to pages of 64
	// KiB; at least one page, at most 4 GiB. A guest at the limit is refused further growth; a
	// module that starts beyond it does not compile. Default 128 MiB.
	MemoryLimit int64

	// OutputLimit is the size in bytes of one answer. Default 16 MiB.
	OutputLimit int

	// HostCallLimit is the size in bytes of what a guest sends in one host call. Default 4 MiB.
	HostCallLimit int

	// CodeFolder is where compiled code is kept from one start to the next; the folder is made when
	// missing, for this user only. Without it, or where it cannot be used, every start compiles
	// everything. What is damaged in it is removed and compiled again.
	CodeFolder string

	// Compiler compiles modules in processes of their own, which leave what they compiled in
	// CodeFolder; nil, or without that folder: they are compiled in this one.
	Compiler *Compiler

	// Warn is told what the engine goes on without: CodeFolder, or processes to compile in. nil:
	// nobody is told.
	Warn func(error)

	// IdleMemory is how many bytes all instances together may hold that wait for a call. Beyond it
	// those are given up that have waited longest. Default 256 MiB.
	IdleMemory int64

	// PrintLimit is how many bytes are kept of what a guest prints during one call. Default 4 KiB.
	PrintLimit int
}

// The defaults: 128 MiB runs every published policy with room to spare, 16 MiB is ten times the
// largest object an API server stores, and the rest follows from what guests legitimately say.
const (
	defaultMemoryLimit   = 128 << 20
	defaultOutputLimit   = 16 << 20
	defaultHostCallLimit = 4 << 20
	defaultPrintLimit    = 4 << 10
	defaultIdleMemory    = 256 << 20

	maxMemoryLimit = 4 << 30 // what 32 bits address
)

func (c Config) warn(err error) {
	if c.Warn != nil {
		c.Warn(err)
	}
}

// Compiler compiles modules in processes of their own, bounded in memory and time.
type Compiler = sandbox.Compiler

// CompilerMain is the program of such a process: see Compiler.Command.
func CompilerMain(arguments []string, stdin io.Reader, stdout io.Writer) (exit int) {
	return sandbox.CompilerMain(arguments, stdin, stdout)
}

// limits checks c and fills in the defaults.
func (c Config) limits() (sandbox.Limits, error) {
	if c.MemoryLimit < 0 || c.MemoryLimit > maxMemoryLimit || c.MemoryLimit > 0 && c.MemoryLimit < sandbox.PageSize {
		return sandbox.Limits{}, fmt.Errorf("memory limit %d: must be from %d to %d bytes",
			c.MemoryLimit, sandbox.PageSize, maxMemoryLimit)
	}
	if c.IdleMemory < 0 {
		return sandbox.Limits{}, fmt.Errorf("idle memory %d: must not be negative", c.IdleMemory)
	}
	for _, limit := range []struct {
		name  string
		bytes int
	}{{"output", c.OutputLimit}, {"host call", c.HostCallLimit}, {"print", c.PrintLimit}} {
		if limit.bytes < 0 {
			return sandbox.Limits{}, fmt.Errorf("%s limit %d: must not be negative", limit.name, limit.bytes)
		}
	}
	return sandbox.Limits{
		MemoryPages: uint32(cmp.Or(c.MemoryLimit, defaultMemoryLimit) / sandbox.PageSize),
		Output:      cmp.Or(c.OutputLimit, defaultOutputLimit),
		HostCall:    cmp.Or(c.HostCallLimit, defaultHostCallLimit),
		Print:       cmp.Or(c.PrintLimit, defaultPrintLimit),
	}, nil
}
