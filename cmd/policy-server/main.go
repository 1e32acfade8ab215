// Command policy-server serves policies: it reads flags and files, wires the packages that do the
// work, and turns errors into exit codes (1: it could not start or failed, 2: it was called
// wrongly).
package main

import (
	"os"

	"policy-server/runtime"
)

func main() {
	if exit, compiled := compileModule(os.Args[1:]); compiled {
		os.Exit(exit)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// compilerArgument makes this binary the process in which the server compiles a module. It is not
// part of the command line: what comes behind it is between the two processes.
const compilerArgument = "compile-module"

// compileModule compiles a module if that is what the arguments are for.
func compileModule(args []string) (exit int, compiled bool) {
	if len(args) == 0 || args[0] != compilerArgument {
		return 0, false
	}
	return runtime.CompilerMain(args[1:], os.Stdin, os.Stdout), true
}
