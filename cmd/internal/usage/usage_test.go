package usage_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"

	"policy-server/cmd/internal/usage"
)

type hinted struct{ hint string }

func (e hinted) Error() string { return "hinted" }
func (e hinted) Hint() string  { return e.hint }

func TestExit(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"success":           {nil, 0, ""},
		"called wrongly":    {usage.Errorf("bad %s", "flag"), 2, "error: bad flag\n\nUsage: tool [OPTIONS] <B>\n\nFor more information, try '--help'.\n"},
		"missing":           {usage.Missing("--a <A>", "<B>"), 2, "error: the following required arguments were not provided:\n  --a <A>\n  <B>\n\nUsage: tool [OPTIONS] <B>\n\nFor more information, try '--help'.\n"},
		"not possible":      {usage.NotPossible("--a <A>", "x", []string{"y", "z"}), 2, "error: invalid value 'x' for '--a <A>'\n  [possible values: y, z]\n\nUsage: tool [OPTIONS] <B>\n\nFor more information, try '--help'.\n"},
		"failure":           {errors.New("no disk"), 1, "Error: no disk\n"},
		"failure with hint": {fmt.Errorf("a: %w", hinted{"do b"}), 1, "Error: a: hinted\nHint: do b\n"},
		"no hint to give":   {hinted{}, 1, "Error: hinted\n"},
		"each hint once":    {errors.Join(hinted{"do b"}, errors.New("c"), hinted{"do d"}, hinted{"do b"}), 1, "Error: hinted\nc\nhinted\nhinted\nHint: do b\nHint: do d\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			if code := usage.Exit(&cobra.Command{Use: "tool [OPTIONS] <B>"}, c.err, &stderr); code != c.code || stderr.String() != c.stderr {
				t.Errorf("exit code %d, stderr\n%s", code, &stderr)
			}
		})
	}
}

func TestFlagError(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string // "" for success
	}{
		"once":           {[]string{"--name", "a", "--switch"}, ""},
		"switch, spoken": {[]string{"--switch=false"}, ""},
		"twice":          {[]string{"--name=a", "-n", "b"}, "the argument '--name' cannot be used multiple times"},
		"switch twice":   {[]string{"--switch", "--switch"}, "the argument '--switch' cannot be used multiple times"},
		"unknown":        {[]string{"--none"}, "unexpected argument '--none' found"},
		"unknown, short": {[]string{"-x"}, "unexpected argument '-x' found"},
		"no value":       {[]string{"--name"}, "a value is required for '--name' but none was supplied"},
		"worded already": {[]string{"--picky", "x"}, "invalid value 'x' for '--picky'\n  [possible values: y]"},
	} {
		t.Run(name, func(t *testing.T) {
			named, switched := &usage.Value{Text: "default", Placeholder: "NAME"}, &usage.Value{Text: "false"}
			command := &cobra.Command{RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
			command.SetFlagErrorFunc(usage.FlagError)
			command.Flags().VarP(named, "name", "n", "")
			command.Flags().VarPF(switched, "switch", "", "").NoOptDefVal = "true"
			command.Flags().Var(&picky{}, "picky", "")
			command.SetArgs(c.args)
			err := command.Execute()
			var wrong *usage.Error
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.As(err, &wrong) || err.Error() != c.want):
				t.Errorf("got %v", err)
			}
		})
	}
}

// picky is a flag that words its own refusals.
type picky struct{ usage.Value }

func (p *picky) Set(text string) error {
	return usage.NotPossible("--picky", text, []string{"y"})
}
