package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"policy-server/document"
	"policy-server/policy"
	"policy-server/registry"
)

// inspection is what the command line asks for.
type inspection struct {
	output     choice
	signatures toggle
	connection connectionFlags // for the signatures: nothing else comes from a registry
}

func (p *program) inspectCommand() *cobra.Command {
	command := newCommand("inspect [OPTIONS] <POLICY>",
		"Print what a policy says about itself",
		`Print what a policy says about itself: the metadata in its module.

POLICY is a file, the URI of a stored policy, or the beginning of its SHA-256. A remote policy must be pulled first.`,
		arguments([]string{"POLICY"}))
	command.Example = fmt.Sprintf(`  %[1]s inspect annotated-policy.wasm
  %[1]s inspect -o yaml registry://ghcr.io/kubewarden/policies/pod-privileged:v0.3.2`, p.name)
	var i inspection
	i.output.add(command.Flags(), "output", "o", "FORMAT", "print the metadata document instead of text", "yaml")
	i.signatures.add(command.Flags(), "show-signatures", "", "print the signatures in the policy's registry as well, without verifying them")
	i.connection.add(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		return i.print(command.Context(), p, args[0])
	}
	return command
}

// print prints what is known about the policy that name names.
func (i *inspection) print(ctx context.Context, p *program, name string) error {
	places, err := findPlaces()
	if err != nil {
		return err
	}
	uri, metadata, err := readPolicyMetadata(places, name)
	if err != nil {
		return err
	}
	if i.output.Given {
		err = printYAML(p.stdout, metadata)
	} else {
		err = printDetails(p.stdout, metadata)
	}
	if err != nil || !i.signatures.on() {
		return err
	}
	client, err := i.connection.open(places, registry.Config{}, p.log())
	if err != nil {
		return err
	}
	found, err := findSignatures(ctx, client, uri)
	if i.output.Given {
		return found.printYAML(p.stdout, p.stderr, err)
	}
	return found.print(p.stdout, err)
}

// readPolicyMetadata returns the URI and the metadata of the policy that name names.
func readPolicyMetadata(places places, name string) (string, policy.Metadata, error) {
	uri, file, err := places.find(name)
	if err != nil {
		return "", policy.Metadata{}, err
	}
	module, err := os.ReadFile(file)
	if err != nil {
		return "", policy.Metadata{}, saidf("Error parsing policy metadata: cannot read metadata from path: %s: %w", file, system(err))
	}
	metadata, annotated, err := policy.ReadMetadata(module)
	switch {
	case err != nil:
		return "", policy.Metadata{}, saidf("Error parsing policy metadata: %w", err)
	case !annotated:
		return "", policy.Metadata{}, saidf("No Kubewarden metadata found inside of '%s'.\nPolicies can be annotated with the `kwctl annotate` command.", uri)
	}
	return uri, metadata, nil
}

// printYAML prints what JSON has for value as YAML, such as metadata with its fields in the order
// of the section.
func printYAML(w io.Writer, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	text, err := document.BlockYAML(encoded)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, text)
	return err
}
