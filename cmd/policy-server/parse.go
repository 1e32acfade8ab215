package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"policy-server/cmd/internal/usage"
)

// fatalError reports a value that the replaced server refuses only once it starts, hence with exit
// code 1.
type fatalError struct{ message string }

func (e *fatalError) Error() string { return e.message }

func fatal(message string) error { return &fatalError{message} }

// flagValue is a flag of the command line.
type flagValue struct {
	usage.Value
	option option
}

// addFlags registers every option with command and returns what will hold their values.
func addFlags(command *cobra.Command) []*flagValue {
	var values []*flagValue
	for _, s := range table() {
		v := &flagValue{usage.Value{Text: s.fallback, Placeholder: s.placeholder}, s}
		values = append(values, v)
		flag := command.Flags().VarPF(v, s.flag, "", s.description())
		flag.Hidden = s.hidden
		if s.placeholder == "" {
			flag.NoOptDefVal = "true"
		}
	}
	return values
}

// description is the help of one option.
func (s option) description() string {
	text := s.help
	if len(s.possible) > 0 {
		text += fmt.Sprintf(" [possible values: %s]", strings.Join(s.possible, ", "))
	}
	if s.set == nil {
		text += " (not supported yet)"
	}
	return text + fmt.Sprintf(" [env: %s]", s.env)
}

// resolve makes the options: of each the flag, else the environment variable, else the default.
func resolve(values []*flagValue, lookup func(string) (string, bool)) (options, error) {
	var o options
	for _, v := range values {
		text, given := v.Text, v.Given
		if !given {
			if fromEnv, ok := lookup(v.option.env); ok {
				text, given = fromEnv, true
				if v.option.env == "NO_COLOR" && fromEnv != "" {
					text = "true" // any value, as the convention has it
				}
			}
		}
		if !given && (v.option.fallback == "" || v.option.set == nil) {
			continue
		}
		if err := v.option.apply(&o, text); err != nil {
			return options{}, v.option.explain(text, err)
		}
	}
	return o, nil
}

// explain words why text is no value for s.
func (s option) explain(text string, err error) error {
	name := "--" + s.flag
	if s.placeholder != "" {
		name += " <" + s.placeholder + ">"
	}
	var unstartable *fatalError
	switch {
	case errors.As(err, &unstartable):
		return err
	case errors.Is(err, errUnsupported) && s.set == nil:
		return usage.Errorf("'--%s' (%s) is not supported yet", s.flag, s.env)
	case errors.Is(err, errUnsupported):
		return usage.Errorf("value '%s' for '%s' (%s) is not supported yet", text, name, s.env)
	case errors.Is(err, errNotPossible):
		return usage.NotPossible(name, text, s.possibleValues())
	}
	return usage.Errorf("invalid value '%s' for '%s': %v", text, name, err)
}
