package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func (p *program) loadCommand() *cobra.Command {
	command := newCommand("load [OPTIONS] --input <FILE>",
		"Add the policies of an archive to the local store",
		`Add the policies of an archive that the command save wrote to the local store, in place of those stored under the same
names. Nothing in the archive can write elsewhere.`,
		arguments(nil, "input"))
	command.Example = fmt.Sprintf(`  %[1]s load --input policies.tar.gz
  %[1]s push registry://ghcr.io/acme/pods:v1 registry.example:5000/acme/pods:v1`, p.name)
	var input value
	input.add(command.Flags(), "input", "", "FILE", "the archive")
	command.RunE = func(*cobra.Command, []string) error {
		places, err := findPlaces()
		if err != nil {
			return err
		}
		file, err := os.Open(input.Text)
		if err != nil {
			return saidf("cannot open file %s: %w", input.Text, system(err))
		}
		defer file.Close()
		if err := places.store().Load(file); err != nil {
			return saidf("cannot unpack file %s: %w", input.Text, err)
		}
		return nil
	}
	return command
}
