package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) completionsCommand() *cobra.Command {
	command := newCommand("completions [OPTIONS] --shell <SHELL>",
		"Print a shell's completions for this program",
		`Print the script that makes a shell complete the commands and flags of this program.`,
		arguments(nil, "shell"))
	command.Example = fmt.Sprintf(`  source <(%[1]s completions -s bash)
  %[1]s completions -s zsh > "${fpath[1]}/_%[1]s"`, p.name)
	var shell choice
	shell.add(command.Flags(), "shell", "s", "SHELL", "which shell", "bash", "fish", "powershell", "zsh")
	command.RunE = func(command *cobra.Command, _ []string) error {
		root := command.Root()
		switch shell.Text {
		case "bash":
			return root.GenBashCompletionV2(p.stdout, true)
		case "fish":
			return root.GenFishCompletion(p.stdout, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(p.stdout)
		}
		return root.GenZshCompletion(p.stdout)
	}
	return command
}
