package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"policy-server/policy"
	"policy-server/registry"
	"policy-server/runtime/wasm"
)

// push is what the command line asks for.
type push struct {
	force      toggle
	output     choice
	connection connectionFlags
}

func (p *program) pushCommand() *cobra.Command {
	command := newCommand("push [OPTIONS] <POLICY> <URI>",
		"Upload a policy to an OCI registry",
		`Upload a policy to an OCI registry and print the reference by digest under which it is there: what to sign.

POLICY is a file, the URI of a stored policy, or the beginning of its SHA-256. URI is registry://HOST/REPO[:TAG], also
without registry://. Annotations of the policy's metadata that fit on one line become annotations of the manifest.`+proxyHelp,
		arguments([]string{"POLICY", "URI"}))
	command.Example = fmt.Sprintf(`  %[1]s push annotated-policy.wasm ghcr.io/acme/policy:v1
  %[1]s push -o json annotated-policy.wasm ghcr.io/acme/policy:v1 | jq -r .immutable_ref`, p.name)
	var q push
	q.force.add(command.Flags(), "force", "f", "push a module without metadata as well")
	q.output.Text = "text"
	q.output.add(command.Flags(), "output", "o", "FORMAT", "how the reference is printed", "text", "json")
	q.connection.add(command.Flags())
	command.RunE = func(command *cobra.Command, args []string) error {
		return q.upload(command.Context(), p, args[0], args[1])
	}
	return command
}

// upload pushes the policy that name names to uri.
func (q *push) upload(ctx context.Context, p *program, name, uri string) error {
	log := p.log()
	places, err := findPlaces()
	if err != nil {
		return err
	}
	_, file, err := places.find(name)
	if err != nil {
		return err
	}
	module, err := os.ReadFile(file)
	if err != nil {
		return saidf("Cannot open policy file: %s: %w", file, system(err))
	}
	annotations, err := q.annotations(module, p.stderr, log)
	if err != nil {
		return err
	}
	if !strings.Contains(uri, "://") {
		uri = registry.SchemeRegistry + "://" + uri
	}
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return err
	}
	client, err := q.connection.open(places, registry.Config{}, log)
	if err != nil {
		return err
	}
	digest, err := client.Push(ctx, ref, module, annotations)
	if err != nil {
		return err
	}
	return q.print(p.stdout, digest.Name())
}

// annotations returns those of the module's metadata, which must have some unless it is pushed by
// force.
func (q *push) annotations(module []byte, stderr io.Writer, log *zap.Logger) (map[string]string, error) {
	metadata, annotated, err := policy.ReadMetadata(module)
	if err != nil {
		return nil, err
	}
	if !annotated {
		return nil, q.allowUnannotated(module, stderr)
	}
	_, dropped := registry.ManifestAnnotations(metadata.Annotations)
	for _, key := range dropped {
		log.Warn("annotation is a multi-line string, it will be removed from the OCI manifest", zap.String("annotation", key))
	}
	return metadata.Annotations, nil
}

func (q *push) allowUnannotated(module []byte, stderr io.Writer) error {
	parsed, err := wasm.Parse(module)
	switch {
	case err != nil:
		return saidf("Cannot understand if the policy is based on Rego: %w", err)
	case !q.force.on():
		return saidf("Cannot push a policy that is not annotated. Use `annotate` command or `push --force`")
	case isRego(parsed): // nothing would say how to run it
		return saidf("Rego policies cannot be pushed without metadata")
	}
	_, err = fmt.Fprintln(stderr, "Warning: pushing a non-annotated policy!")
	return err
}

// print writes the reference. JSON has no newline behind it: scripts compare whole outputs.
func (q *push) print(stdout io.Writer, reference string) error {
	if q.output.Text == "text" {
		_, err := fmt.Fprintf(stdout, "Policy successfully pushed: %s\n", reference)
		return err
	}
	line, err := json.Marshal(struct {
		Reference string `json:"immutable_ref"`
	}{reference})
	if err != nil {
		return err
	}
	_, err = stdout.Write(line)
	return err
}
