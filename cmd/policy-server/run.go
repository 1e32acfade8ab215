package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"policy-server/cmd/internal/build"
	"policy-server/cmd/internal/usage"
)

// run is the program: arguments in, exit code out.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	command := newCommand(stdout, stderr)
	command.SetArgs(args)
	called, err := command.ExecuteContextC(ctx)
	return usage.Exit(called, err, stderr)
}

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	command := &cobra.Command{
		Use:                   "policy-server [OPTIONS] [COMMAND]",
		Short:                 "Serve signed WebAssembly policies to Kubernetes admission",
		Version:               build.Version,
		DisableFlagsInUseLine: true,
		Args: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage.UnknownCommand(command, args[0])
			}
			return nil
		},
	}
	command.Flags().BoolP("version", "V", false, "print the version")
	command.Flags().SortFlags = false // what belongs together stands together in the table
	values := addFlags(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		o, err := resolve(values, os.LookupEnv)
		if err != nil {
			return err
		}
		return serve(command.Context(), o, stdout)
	}
	command.AddCommand(newDocsCommand())
	usage.Style(command, stdout, stderr)
	return command
}

// newDocsCommand writes the reference of the command line to a file.
func newDocsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "docs --output <FILE>",
		Short: "Write this command line's documentation, in Markdown, to a file",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage.Errorf("unexpected argument '%s' found", args[0])
			}
			return nil
		},
		DisableFlagsInUseLine: true,
	}
	output := command.Flags().StringP("output", "o", "", "file to write")
	command.RunE = func(*cobra.Command, []string) error {
		if *output == "" {
			return usage.Missing("--output <FILE>")
		}
		file, err := os.Create(*output)
		if err != nil {
			return fmt.Errorf("cannot create file %s: %w", *output, err)
		}
		_, err = io.WriteString(file, reference())
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("cannot write to file %s: %w", *output, err)
		}
		return nil
	}
	return command
}

// reference documents every option in one table.
func reference() string {
	var b strings.Builder
	b.WriteString("# Command-Line Help for `policy-server`\n\n| Flag | Environment | Default | Meaning |\n|---|---|---|---|\n")
	for _, s := range table() {
		flag, fallback, help := "--"+s.flag, "–", s.help
		if s.placeholder != "" {
			flag += " " + s.placeholder
		}
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		if s.flag == "workers" {
			fallback = "number of logical CPUs"
		}
		if s.set == nil {
			help += " (not supported yet)"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", flag, s.env, fallback, help)
	}
	return b.String()
}

func join(address netip.Addr, port uint16) string { return netip.AddrPortFrom(address, port).String() }
