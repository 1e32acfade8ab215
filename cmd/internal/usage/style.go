package usage

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Style gives a program, whose commands root has already, the manners both programs share: how it
// says its version and what it was called wrongly with, and help that fits a terminal. Results and
// asked-for help go to stdout.
func Style(root *cobra.Command, stdout, stderr io.Writer) {
	root.SilenceUsage, root.SilenceErrors = true, true // Exit prints both
	root.CompletionOptions = cobra.CompletionOptions{DisableDefaultCmd: true}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(FlagError)
	// One usage line for each command is enough, and says of groups that they take a command.
	root.SetUsageTemplate(strings.NewReplacer(".FlagUsages", ".FlagUsagesWrapped 120", "\n  {{.CommandPath}} [command]", "").Replace(root.UsageTemplate()))
	root.InitDefaultHelpCmd()
	for _, command := range root.Commands() {
		if command.Name() == "help" {
			command.Use, command.DisableFlagsInUseLine = "help [COMMAND]...", true
			command.Short = "Print the help of a command"
			command.Long = "Print the help of a command, as its flag --help does."
			command.Args = checkTopic
		}
	}
}

// checkTopic refuses help about commands there are not, for which cobra shows something else.
func checkTopic(help *cobra.Command, path []string) error {
	found, rest, err := help.Root().Find(path)
	switch {
	case err != nil:
		return Errorf("%v", err)
	case len(rest) > 0:
		return UnknownCommand(found, rest[0])
	}
	return nil
}

// UnknownCommand reports that there is no command called name below command.
func UnknownCommand(command *cobra.Command, name string) error {
	if !command.HasSubCommands() {
		return Errorf("unexpected argument '%s' found", name)
	}
	var known []string
	for _, c := range command.Commands() {
		known = append(known, c.Name())
	}
	return Errorf("unrecognized subcommand '%s'\n  [possible values: %s]", name, strings.Join(known, ", "))
}
