package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"policy-server/cmd/internal/usage"
)

// value is a flag with a value that may be given once.
type value struct{ usage.Value }

func (v *value) add(flags *pflag.FlagSet, name, short, placeholder, help string) {
	v.Placeholder = placeholder
	flags.VarP(v, name, short, help)
}

// toggle is a flag without a value: --force, also --force=true and --force=false.
type toggle struct {
	usage.Value
	name string
}

func (t *toggle) add(flags *pflag.FlagSet, name, short, help string) {
	t.name, t.Text = name, "false"
	flags.VarPF(t, name, short, help).NoOptDefVal = "true"
}

func (t *toggle) on() bool { return t.Text == "true" }

// Type keeps the help from printing a value.
func (t *toggle) Type() string { return "bool" }

// Set takes true or false, once.
func (t *toggle) Set(text string) error {
	if legal := []string{"true", "false"}; !slices.Contains(legal, text) {
		return usage.NotPossible("--"+t.name, text, legal)
	}
	return t.Value.Set(text)
}

// choice is a flag whose value is one of a few.
type choice struct {
	usage.Value
	name     string
	possible []string
}

func (c *choice) add(flags *pflag.FlagSet, name, short, placeholder, help string, possible ...string) {
	c.name, c.Placeholder, c.possible = name, placeholder, possible
	flags.VarP(c, name, short, fmt.Sprintf("%s [possible values: %s]", help, strings.Join(possible, ", ")))
}

// Set takes one of the possible values, once.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.possible, text) {
		return usage.NotPossible(fmt.Sprintf("--%s <%s>", c.name, c.Placeholder), text, c.possible)
	}
	return c.Value.Set(text)
}

// list is a flag that may be given several times.
type list struct {
	texts       []string
	placeholder string
	check       func(text string) error // nil: anything goes
}

func (l *list) add(flags *pflag.FlagSet, name, short, placeholder, help string) {
	l.placeholder = placeholder
	flags.VarP(l, name, short, help+"; can be repeated")
}

func (l *list) String() string { return strings.Join(l.texts, ",") }

// Type returns the placeholder.
func (l *list) Type() string { return l.placeholder }

// Set adds text.
func (l *list) Set(text string) error {
	if l.check != nil {
		if err := l.check(text); err != nil {
			return err
		}
	}
	l.texts = append(l.texts, text)
	return nil
}

// arguments checks that the required flags were given and exactly the positional arguments; one or
// more of the last, if its name ends in "...".
func arguments(positional []string, required ...string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		var missing []string
		for _, name := range required {
			if flag := command.Flags().Lookup(name); !flag.Changed {
				missing = append(missing, fmt.Sprintf("--%s <%s>", name, flag.Value.Type()))
			}
		}
		repeated := false
		for i, name := range positional {
			if name, repeated = strings.CutSuffix(name, "..."); i >= len(args) {
				missing = append(missing, "<"+name+">")
			}
		}
		switch {
		case len(missing) > 0:
			return usage.Missing(missing...)
		case len(args) > len(positional) && !repeated:
			return usage.Errorf("unexpected argument '%s' found", args[len(positional)])
		}
		return nil
	}
}

// group returns a command that only has commands below it: called without one, it explains itself.
func group(use, short, long string, below ...*cobra.Command) *cobra.Command {
	command := newCommand(use, short, long, func(command *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage.UnknownCommand(command, args[0])
		}
		return nil
	})
	command.RunE = func(command *cobra.Command, _ []string) error { return &noCommandError{command} }
	command.AddCommand(below...)
	return command
}

// noCommandError reports that a command was called that can only say what there is below it.
type noCommandError struct{ command *cobra.Command }

func (e *noCommandError) Error() string { return "no command given" }

// newCommand returns a command in the house style; the caller adds flags and RunE.
func newCommand(use, short, long string, args cobra.PositionalArgs) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Long: long, Args: args, DisableFlagsInUseLine: true}
	command.Flags().SortFlags = false
	return command
}
