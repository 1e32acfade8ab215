package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) verifyCommand() *cobra.Command {
	command := newCommand("verify [OPTIONS] <URI>",
		"Verify the signatures of a policy in a registry",
		`Verify the signatures of a policy in a registry, and download nothing. The result is the exit code; the log says the
rest. What must have signed it is said by the flags below or by a verification config.

URI is registry://HOST/REPO[:TAG][@DIGEST], also without registry://.`+proxyHelp,
		arguments([]string{"URI"}))
	command.Example = fmt.Sprintf(`  %[1]s verify -k cosign.pub -a env=prod ghcr.io/acme/policy:v1
  %[1]s verify --verification-config-path verification.yml registry://ghcr.io/acme/policy:v1`, p.name)
	var flags moduleFlags
	flags.add(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		places, err := findPlaces()
		if err != nil {
			return err
		}
		modules, err := flags.open(places, "", p.log())
		if err != nil {
			return err
		}
		return modules.verify(command.Context(), normalise(args[0]))
	}
	return command
}
