package runtime_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"policy-server/internal/testing/guests"
	"policy-server/runtime"
)

// compileHere is the argument by which this test binary becomes a process to compile in.
const compileHere = "compile-module"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == compileHere {
		os.Exit(runtime.CompilerMain(os.Args[2:], os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// compiler is one that no test's module should exceed.
func compiler() *runtime.Compiler {
	return &runtime.Compiler{Command: []string{os.Args[0], compileHere}, Memory: 2 << 30, Timeout: 2 * time.Minute}
}

// elsewhere returns an engine that compiles with c, and what it warns of.
func elsewhere(t *testing.T, folder string, c *runtime.Compiler) (*runtime.Engine, *[]string) {
	t.Helper()
	warnings := new([]string)
	return open(t, runtime.Config{CodeFolder: folder, Compiler: c, Warn: func(err error) { *warnings = append(*warnings, err.Error()) }}), warnings
}

func compileError(t *testing.T, e *runtime.Engine, module []byte) *runtime.CompileError {
	t.Helper()
	_, err := e.Compile(t.Context(), module, runtime.WaPC)
	var compile *runtime.CompileError
	if !errors.As(err, &compile) {
		t.Fatalf("got %v, want a CompileError", err)
	}
	return compile
}

// TestCompiler compiles elsewhere, and finds the code the next time.
func TestCompiler(t *testing.T) {
	folder := t.TempDir()
	for _, want := range []runtime.EngineStats{{Compiled: 1}, {Found: 1}} {
		e, warnings := elsewhere(t, folder, compiler())
		module, err := e.Compile(t.Context(), readGuest(t, "counts_calls"), runtime.WaPC)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := module.Call(t.Context(), ask(runtime.Validate, nil), nil)
		if err != nil || string(answer.Payload) != `{"accepted":true,"message":"call no. 1"}` {
			t.Errorf("answer %s, %v", answer.Payload, err)
		}
		if got := e.Stats(); got != want || len(*warnings) > 0 {
			t.Errorf("got %+v, want %+v; warnings %q", got, want, *warnings)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, "new-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestCompiler_bomb holds that a module which keeps all bounds and is a bomb all the same fails by
// name of what it exceeds, and that another compiles meanwhile and afterwards.
func TestCompiler_bomb(t *testing.T) {
	bomb, err := guests.Bomb()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit  func(*runtime.Compiler)
		reason string
		hint   string
	}{
		{func(c *runtime.Compiler) { c.Memory = 256 << 20 }, "compiling it took more than 268435456 bytes of memory", "--compile-memory"},
		{func(c *runtime.Compiler) { c.Timeout = 5 * time.Second }, "compiling it took longer than 5s", "--compile-timeout"},
		{func(c *runtime.Compiler) { c.Timeout, c.Command = time.Nanosecond, nil }, "compiling it took longer than 1ns", "--compile-timeout"},
	} {
		limited := compiler()
		c.limit(limited)
		e, _ := elsewhere(t, t.TempDir(), limited)
		if err := compileError(t, e, bomb); err.Reason != c.reason || !strings.Contains(err.Hint(), c.hint) {
			t.Errorf("got  %q, hint %q\nwant %q, hint %q", err.Reason, err.Hint(), c.reason, c.hint)
		}
		if limited.Timeout < time.Second {
			continue
		}
		if _, err := e.Compile(t.Context(), readGuest(t, "accepts"), runtime.WaPC); err != nil {
			t.Error(err)
		}
	}
}

// TestCompiler_calledOff holds that nobody waits for a compilation any more once it is called off,
// with a process of its own and without.
func TestCompiler_calledOff(t *testing.T) {
	bomb, err := guests.Bomb()
	if err != nil {
		t.Fatal(err)
	}
	e, _ := elsewhere(t, t.TempDir(), compiler())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	began := time.Now()
	if _, err := e.Compile(ctx, bomb, runtime.WaPC); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

// TestCompiler_refusals holds what is said of modules that cannot be compiled, wherever that is
// found out.
func TestCompiler_refusals(t *testing.T) {
	e, warnings := elsewhere(t, t.TempDir(), compiler())
	invalid := bytes.Replace(readGuest(t, "accepts"), []byte("\x0b"), []byte("\x1a"), 1) // ends its first function too early
	here := compileError(t, open(t, runtime.Config{}), invalid)
	if there := compileError(t, e, invalid); there.Reason != here.Reason || len(*warnings) > 0 {
		t.Errorf("got %q and here %q; warnings %q", there.Reason, here.Reason, *warnings)
	}
}

// TestCompiler_cannotStart holds that modules are compiled in this process when no other can be
// started, and that one which dies is no reason to.
func TestCompiler_cannotStart(t *testing.T) {
	missing := compiler()
	missing.Command = []string{filepath.Join(t.TempDir(), "missing")}
	e, warnings := elsewhere(t, t.TempDir(), missing)
	if _, err := e.Compile(t.Context(), readGuest(t, "accepts"), runtime.WaPC); err != nil {
		t.Error(err)
	}
	if len(*warnings) != 1 || !strings.HasPrefix((*warnings)[0], "cannot start a process to compile in: ") {
		t.Errorf("warnings %q", *warnings)
	}
	dies := compiler()
	dies.Command = []string{"/bin/sh", "-c", "echo 'something is amiss' >&2; kill -9 $$"}
	e, warnings = elsewhere(t, t.TempDir(), dies)
	if err := compileError(t, e, readGuest(t, "accepts")); err.Reason != "the compiler ended: something is amiss" || len(*warnings) > 0 {
		t.Errorf("got %q; warnings %q", err.Reason, *warnings)
	}
}

// TestCompilerMain_orphan holds that a process to compile in does not outlive the one that waits
// for it.
func TestCompilerMain_orphan(t *testing.T) {
	bomb, err := guests.Bomb()
	if err != nil {
		t.Fatal(err)
	}
	process, stdin, _ := startCompiler(t, t.TempDir(), bomb)
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := process.Wait(); process.ProcessState.ExitCode() <= 0 {
		t.Errorf("it ended by %v", err)
	}
}

// TestCompilerMain_unwritable holds that a module is not blamed for a folder that cannot be
// written.
func TestCompilerMain_unwritable(t *testing.T) {
	process, _, stdout := startCompiler(t, "/dev/null/folder", readGuest(t, "accepts"))
	if err := process.Wait(); process.ProcessState.ExitCode() != 11 || !strings.Contains(stdout.String(), "/dev/null/folder") {
		t.Errorf("%q, %v", stdout.String(), err)
	}
}

// startCompiler starts a process that compiles a module into folder. It is over when it ends, or
// when stdin is closed.
func startCompiler(t *testing.T, folder string, module []byte) (process *exec.Cmd, stdin io.WriteCloser, stdout *bytes.Buffer) {
	t.Helper()
	process = exec.CommandContext(t.Context(), os.Args[0], compileHere, folder, "16", "2147483648", "60")
	stdout = new(bytes.Buffer)
	process.Stdout = stdout
	stdin, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{binary.LittleEndian.AppendUint64(nil, uint64(len(module))), module} {
		if _, err := stdin.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	return process, stdin, stdout
}

// TestCompilerMain_arguments holds that wrong arguments and bytes are said to be wrong.
func TestCompilerMain_arguments(t *testing.T) {
	for _, c := range []struct {
		arguments []string
		stdin     string
	}{
		{nil, ""}, {[]string{"a", "b", "c", "d"}, ""}, {[]string{"a", "1", "1", "d"}, ""},
		{[]string{"a", "1", "1073741824", "60"}, "\x05"},
	} {
		process := exec.CommandContext(t.Context(), os.Args[0], append([]string{compileHere}, c.arguments...)...)
		process.Stdin = strings.NewReader(c.stdin)
		if printed, err := process.Output(); err == nil || len(printed) == 0 {
			t.Errorf("%q: %q, %v", c.arguments, printed, err)
		}
	}
}

// TestOpen_withoutFolder holds that an engine goes on without its cache where there can be none,
// and says so.
func TestOpen_withoutFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), linked); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{file, filepath.Join(file, "below"), linked} {
		e, warnings := elsewhere(t, folder, compiler())
		if _, err := e.Compile(t.Context(), readGuest(t, "accepts"), runtime.WaPC); err != nil {
			t.Error(err)
		}
		if len(*warnings) != 1 || !strings.HasPrefix((*warnings)[0], "modules are compiled at each start, and in this process: compile cache: ") {
			t.Errorf("%s: warnings %q", folder, *warnings)
		}
	}
}

// TestCompile_fullDisk holds that compiled code which cannot be kept serves all the same: the
// folder is taken away while the engine is open.
func TestCompile_fullDisk(t *testing.T) {
	for name, c := range map[string]*runtime.Compiler{"elsewhere": compiler(), "here": nil} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "compiled")
			e, warnings := elsewhere(t, folder, c)
			if err := os.RemoveAll(folder); err != nil {
				t.Fatal(err)
			}
			module, err := e.Compile(t.Context(), readGuest(t, "accepts"), runtime.WaPC)
			if err != nil {
				t.Fatal(err)
			}
			if answer, err := module.Call(t.Context(), ask(runtime.Validate, nil), nil); err != nil {
				t.Errorf("answer %s, %v", answer.Payload, err)
			}
			if len(*warnings) != 1 || !strings.HasPrefix((*warnings)[0], "cannot write compiled code: ") {
				t.Errorf("warnings %q", *warnings)
			}
		})
	}
}
