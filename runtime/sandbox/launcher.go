package sandbox

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// A launcher is a module of ours that runs a command's entry point and then proc_exit(0). Control
// so comes back to the host while the call is still running, however the command ends: wazero can
// only go back to a stack within the call that had it.
const (
	launcherCommand = "command" // the import module that stands for the command
	launcherRun     = "run"     // the export that runs it
)

// launcherCode returns the launcher's binary:
//
//	(module
//	  (import "command" "_start" (func $start))
//	  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
//	  (func (export "run") (call $start) (call $exit (i32.const 0))))
func launcherCode() []byte {
	sized := func(b ...byte) []byte { return append([]byte{byte(len(b))}, b...) } // none is longer than 127 bytes
	code := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, content ...byte) { code = append(append(code, id), sized(content...)...) }
	var imports []byte
	for i, name := range [][2]string{{launcherCommand, commandStart}, {wasiModules[0], procExit}} {
		imports = append(imports, sized([]byte(name[0])...)...)
		imports = append(imports, sized([]byte(name[1])...)...)
		imports = append(imports, 0, byte(i)) // a function of type i
	}
	section(1, 2, 0x60, 0, 0, 0x60, 1, api.ValueTypeI32, 0)
	section(2, append([]byte{2}, imports...)...)
	section(3, 1, 0)
	section(7, append(append([]byte{1}, sized([]byte(launcherRun)...)...), 0, 2)...)
	section(10, append([]byte{1}, sized(0, 0x10, 0, 0x41, 0, 0x10, 1, 0x0b)...)...)
	return code
}

// compileLauncher makes the launcher of the engine's commands.
func (e *Engine) compileLauncher(ctx context.Context) (err error) {
	if e.launcher, _, err = e.machineCode(ctx, nil, launcherCode()); err != nil {
		return fmt.Errorf("launcher: %w", err)
	}
	return nil
}

// launch returns an instance of the launcher for the command i.
func (i *Instance) launch(ctx context.Context) (api.Module, error) {
	command := experimental.ImportResolver(func(module string) api.Module {
		if module == launcherCommand {
			return i.mod
		}
		return nil
	})
	e := i.program.engine
	return e.wazero.InstantiateModule(experimental.WithImportResolver(ctx, command), e.launcher,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
}
