package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"policy-server/cmd/internal/build"
	"policy-server/cmd/internal/logs"
	"policy-server/cmd/internal/usage"
	"policy-server/policy"
)

// run is the program: arguments in, the name it was called by first, exit code out.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{name: calledAs(args), stdin: stdin, stdout: stdout, stderr: stderr}
	command := p.command()
	command.SetArgs(spreadCapabilities(args[min(1, len(args)):]))
	called, err := command.ExecuteContextC(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("stopped: %w", context.Cause(ctx)) // what failed then did so for this
	}
	var none *noCommandError
	if errors.As(err, &none) {
		command.SetOut(stderr)
		_ = none.command.Help() // there is nobody to tell that stderr is closed
		return 2
	}
	return usage.Exit(called, err, stderr)
}

// program is what every command shares: its streams and the flags that go before or behind any
// command.
type program struct {
	name           string // policyctl or kwctl
	stdin          io.Reader
	stdout, stderr io.Writer
	verbose        toggle
	noColor        toggle
}

const kwctl = "kwctl"

// calledAs returns the name the program goes by: scripts that call it kwctl see kwctl.
func calledAs(args []string) string {
	if len(args) > 0 && strings.TrimSuffix(filepath.Base(args[0]), ".exe") == kwctl {
		return kwctl
	}
	return "policyctl"
}

// version is what --version prints: as kwctl, the release of it that this program stands in for.
func (p *program) version() string {
	if p.name == kwctl {
		return policy.CompatibleVersion
	}
	return build.Version
}

func (p *program) command() *cobra.Command {
	command := group(p.name+" [OPTIONS] <COMMAND>",
		"Annotate, push, pull, sign, verify, inspect and run policies",
		`Annotate, push, pull, sign, verify, inspect and run admission policies: WebAssembly modules for the policy server.

Results go to stdout, logs to stderr. The exit code is 0 on success, also when a policy rejects the request it was run
with; 1 when something failed; 2 when the command line is wrong.`,
		p.annotateCommand(), p.completionsCommand(), p.digestCommand(), p.generateKeyPairCommand(), p.inspectCommand(), p.loadCommand(),
		p.policiesCommand(), p.pullCommand(), p.pushCommand(), p.rmCommand(), p.runCommand(), p.saveCommand(), p.scaffoldCommand(),
		p.signCommand(), p.verifyCommand())
	command.Version = p.version()
	usage.Style(command, p.stdout, p.stderr)
	command.Flags().BoolP("version", "V", false, "print the version")
	p.verbose.add(command.PersistentFlags(), "verbose", "v", "log details as well")
	p.noColor.add(command.PersistentFlags(), "no-color", "", "accepted and without effect: nothing is coloured")
	return command
}

// log makes the logger, once the flags are known.
func (p *program) log() *zap.Logger {
	level := zapcore.InfoLevel
	if p.verbose.on() {
		level = zapcore.DebugLevel
	}
	return logs.New(p.stderr, logs.Text, level, p.name)
}
