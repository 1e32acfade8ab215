package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"policy-server/policy"
)

// inspection is what the command line asks for.
type inspection struct {
	output     choice
	signatures unsupported
	connection connectionFlags // known for the sake of scripts: nothing but signatures comes from a registry
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
	i.signatures.add(command.Flags(), "show-signatures", "", "print the signatures in the registry as well")
	i.connection.add(command.Flags())
	command.RunE = func(_ *cobra.Command, args []string) error {
		metadata, err := readPolicyMetadata(args[0])
		if err != nil {
			return err
		}
		if i.output.Given {
			return printYAML(p.stdout, metadata)
		}
		return printDetails(p.stdout, metadata)
	}
	return command
}

// readPolicyMetadata returns the metadata of the policy that name names.
func readPolicyMetadata(name string) (policy.Metadata, error) {
	places, err := findPlaces()
	if err != nil {
		return policy.Metadata{}, err
	}
	uri, file, err := places.find(name)
	if err != nil {
		return policy.Metadata{}, err
	}
	module, err := os.ReadFile(file)
	if err != nil {
		return policy.Metadata{}, saidf("Error parsing policy metadata: cannot read metadata from path: %s: %w", file, system(err))
	}
	metadata, annotated, err := policy.ReadMetadata(module)
	switch {
	case err != nil:
		return policy.Metadata{}, saidf("Error parsing policy metadata: %w", err)
	case !annotated:
		return policy.Metadata{}, saidf("No Kubewarden metadata found inside of '%s'.\nPolicies can be annotated with the `kwctl annotate` command.", uri)
	}
	return metadata, nil
}

// printYAML prints the metadata document, its fields in the order of the section in the module.
func printYAML(w io.Writer, metadata policy.Metadata) error {
	document, err := metadata.Encode()
	if err != nil {
		return err
	}
	text, err := yamlOf(document)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// yamlOf writes a JSON document as YAML, its members in their order.
func yamlOf(document []byte) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil { // JSON, as Go encodes it, is YAML
		return nil, err
	}
	blockStyle(&root)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(&root); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}

// blockStyle drops JSON's brackets and quotes. The encoder puts quotes where they are needed.
func blockStyle(node *yaml.Node) {
	node.Style = 0
	if len(node.Content) == 0 && node.Kind == yaml.ScalarNode && node.Value == "" {
		node.Style = yaml.SingleQuotedStyle
	}
	for _, child := range node.Content {
		blockStyle(child)
	}
}
