package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"policy-server/registry"
)

func (p *program) digestCommand() *cobra.Command {
	command := newCommand("digest [OPTIONS] <URI>",
		"Print the digest of a policy in a registry",
		`Print the digest of a policy's manifest in its registry, behind the URI: what the tag means now, and what signatures
refer to. Nothing is downloaded.

URI is registry://HOST/REPO[:TAG], also without registry://.`+proxyHelp,
		arguments([]string{"URI"}))
	command.Example = fmt.Sprintf(`  %[1]s digest ghcr.io/acme/policy:v1`, p.name)
	var connection connectionFlags
	connection.add(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		places, err := findPlaces()
		if err != nil {
			return err
		}
		client, err := connection.open(places, registry.Config{}, p.log())
		if err != nil {
			return err
		}
		ref, err := registry.ParseReference(args[0])
		if err != nil {
			return err
		}
		digest, err := client.Digest(command.Context(), ref)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s@%s\n", args[0], digest.DigestStr())
		return err
	}
	return command
}
