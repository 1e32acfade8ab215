package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) rmCommand() *cobra.Command {
	command := newCommand("rm [OPTIONS] <POLICY>",
		"Remove a policy from the local store",
		`Remove a policy from the local store.

POLICY is the URI of a stored policy, also without registry://, or the beginning of its SHA-256.`,
		arguments([]string{"POLICY"}))
	command.Example = fmt.Sprintf(`  %[1]s rm registry://ghcr.io/acme/pods:v1`, p.name)
	command.RunE = func(_ *cobra.Command, args []string) error {
		places, err := findPlaces()
		if err != nil {
			return err
		}
		uri, err := places.resolveLeniently(args[0])
		if err != nil {
			return err
		}
		module, err := places.findStored(uri)
		if err != nil {
			return err
		}
		if err := places.store().Remove(module); err != nil {
			return saidf("could not delete policy %s: %w", uri, system(err))
		}
		return nil
	}
	return command
}
