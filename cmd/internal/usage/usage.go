// Package usage is how both programs say that they were called wrongly and how they ended: the
// wording scripts look for, hints, exit codes, and flags that may be given once. It knows cobra and
// pflag, and no flag of either program.
package usage

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Error reports that the program was called wrongly.
type Error struct{ message string }

func (e *Error) Error() string { return e.message }

// Errorf returns an *Error that says so.
func Errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// NotPossible reports a value outside of an enumeration. Argument is as a user knows it: "--output
// <FORMAT>".
func NotPossible(argument, value string, possible []string) error {
	return Errorf("invalid value '%s' for '%s'\n  [possible values: %s]", value, argument, strings.Join(possible, ", "))
}

// Missing reports required arguments that were not given, each as a user knows it.
func Missing(arguments ...string) error {
	return Errorf("the following required arguments were not provided:\n  %s", strings.Join(arguments, "\n  "))
}

// FlagError words what pflag found wrong with the command line. It is what cobra's SetFlagErrorFunc
// wants.
func FlagError(command *cobra.Command, err error) error {
	var worded *Error
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	if before := command.Flags().Args(); command.HasSubCommands() && len(before) > 0 {
		return UnknownCommand(command, before[0]) // whose flags these are
	}
	switch {
	case errors.As(err, &worded):
		return worded
	case errors.As(err, &invalid) && errors.Is(err, errTwice):
		return Errorf("the argument '--%s' cannot be used multiple times", invalid.GetFlag().Name)
	case errors.As(err, &unknown):
		return Errorf("unexpected argument '%s' found", dashed(unknown.GetSpecifiedName()))
	case errors.As(err, &missing):
		return Errorf("a value is required for '%s' but none was supplied", dashed(missing.GetSpecifiedName()))
	}
	return Errorf("%v", err)
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// Exit prints why a program ended to stderr, with what an operator can do about it, and returns its
// exit code: 0 without an error, 2 when it was called wrongly, 1 otherwise. Command is the one that
// was called, as cobra's ExecuteC returns it.
func Exit(command *cobra.Command, err error, stderr io.Writer) int {
	var wrong *Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "error: %v\n\nUsage: %s\n\nFor more information, try '--help'.\n", err, command.UseLine())
		return 2
	}
	fmt.Fprintf(stderr, "Error: %v\n", err)
	for _, hint := range Hints(err) {
		fmt.Fprintf(stderr, "Hint: %s\n", hint)
	}
	return 1
}

// Hints collects what the errors joined in err say an operator can do, each once.
func Hints(err error) []string {
	var found []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			found = append(found, Hints(e)...)
		}
		return unique(found)
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		found = append(found, hinted.Hint())
	}
	return found
}

func unique(texts []string) []string {
	seen := map[string]bool{}
	kept := texts[:0]
	for _, text := range texts {
		if !seen[text] {
			seen[text] = true
			kept = append(kept, text)
		}
	}
	return kept
}
