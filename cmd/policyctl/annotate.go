package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"policy-server/policy"
	"policy-server/runtime"
	"policy-server/runtime/wasm"
)

// The annotations this command writes itself. They must be those of kwctl, whatever this program is
// called.
const (
	toolAnnotation  = "io.kubewarden.kwctl"
	usageAnnotation = "io.kubewarden.policy.usage"
)

// annotation is what the command line asks for.
type annotation struct{ metadata, output, usage value }

func (p *program) annotateCommand() *cobra.Command {
	command := newCommand("annotate [OPTIONS] --metadata-path <FILE> --output-path <FILE> <WASM>",
		"Write a policy's metadata into its module",
		`Write a policy's metadata into its module, as custom section io.kubewarden.metadata. A section that is there already
is replaced. The module's protocol version is asked from the module, and host capabilities it seems to use are
compared with those the metadata declares.`,
		arguments([]string{"WASM"}, "metadata-path", "output-path"))
	command.Example = fmt.Sprintf("  %s annotate -m metadata.yml -u README.md -o annotated-policy.wasm policy.wasm", p.name)
	var a annotation
	a.metadata.add(command.Flags(), "metadata-path", "m", "FILE", "the metadata, YAML")
	a.output.add(command.Flags(), "output-path", "o", "FILE", "where to write the annotated module; overwritten")
	a.usage.add(command.Flags(), "usage-path", "u", "FILE", "how to use the policy, Markdown, stored as annotation "+usageAnnotation)
	command.RunE = func(command *cobra.Command, args []string) error {
		return a.write(command.Context(), args[0], p.log())
	}
	return command
}

// write annotates the module in file.
func (a *annotation) write(ctx context.Context, file string, log *zap.Logger) error {
	usage, err := a.readUsage()
	if err != nil {
		return err
	}
	code, err := os.ReadFile(file)
	if err != nil {
		return saidf("Error reading wasm file: %s: %w", file, system(err))
	}
	module, err := wasm.Parse(code)
	if err != nil {
		return saidf("Error parsing wasm module: %w", err)
	}
	metadata, err := readMetadataFile(a.metadata.Text)
	if err != nil {
		return err
	}
	if metadata.ProtocolVersion, err = protocolVersion(ctx, code, module, metadata.ExecutionMode); err != nil {
		return err
	}
	metadata.Annotations = annotate(metadata.Annotations, usage)
	if err := metadata.CheckAuthored(); err != nil {
		return saidf("Metadata is invalid: %w", err)
	}
	warnAboutCapabilities(metadata.HostCapabilities, usedCapabilities(module.Data()), log)
	section, err := metadata.Encode()
	if err != nil {
		return err
	}
	// The compilers of JavaScript policies name the host's module in a way of their own.
	module.RenameImport("kubewarden:javy/host", "call", "host")
	if err := os.WriteFile(a.output.Text, module.WithCustom(policy.MetadataSection, section), 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", a.output.Text, system(err))
	}
	return nil
}

// readUsage returns the usage text, nil when none is to be stored.
func (a *annotation) readUsage() (*string, error) {
	if !a.usage.Given {
		return nil, nil
	}
	data, err := os.ReadFile(a.usage.Text)
	if err != nil {
		return nil, saidf("Error reading usage file: %s: %w", a.usage.Text, system(err))
	}
	text := string(data)
	return &text, nil
}

func readMetadataFile(file string) (policy.Metadata, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return policy.Metadata{}, saidf("Error opening metadata file: %s: %w", file, system(err))
	}
	metadata, err := policy.ParseMetadataYAML(data)
	if err != nil {
		return policy.Metadata{}, saidf("Error unmarshalling metadata %w", err)
	}
	return metadata, nil
}

// annotate returns the author's annotations and ours.
func annotate(authored map[string]string, usage *string) map[string]string {
	annotations := maps.Clone(authored)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[toolAnnotation] = policy.CompatibleVersion
	if usage != nil {
		annotations[usageAnnotation] = *usage
	}
	return annotations
}

// protocolVersion returns what the metadata must say about a module in that execution mode, or why
// the mode is wrong.
func protocolVersion(ctx context.Context, code []byte, module *wasm.Module, mode policy.ExecutionMode) (string, error) {
	const unknown = "Unknown" // there is no question to ask in the other modes
	const wrong = "Wrong value inside of policy's metadata for 'executionMode'. "
	switch rego := isRego(module); {
	case !rego && (mode == policy.ExecuteOPA || mode == policy.ExecuteGatekeeper):
		return "", saidf(wrong + "The policy has not been created using Rego")
	case rego && mode == policy.ExecuteWaPC:
		return "", saidf(wrong + "This policy has been created using Rego")
	case mode != policy.ExecuteWaPC:
		return unknown, nil
	}
	version, err := askProtocolVersion(ctx, code)
	if err != nil {
		return "", saidf("Error while detecting Kubewarden protocol version: %w", err)
	}
	return version, nil
}

// isRego reports whether a module was compiled from Rego: such modules export functions of OPA.
func isRego(module *wasm.Module) bool {
	return slices.ContainsFunc(module.Exports(), func(e wasm.Export) bool { return strings.HasPrefix(e.Name, "opa_") })
}

// askTimeout is long enough for any module to start, and ends the wait for one that never returns.
const askTimeout = 30 * time.Second

// askProtocolVersion runs the module to learn which version of the waPC protocol it speaks.
func askProtocolVersion(ctx context.Context, code []byte) (version string, err error) {
	engine, err := runtime.Open(ctx, runtime.Config{})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, engine.Close(context.WithoutCancel(ctx))) }()
	module, err := engine.Compile(ctx, code, runtime.WaPC)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := module.Call(ctx, runtime.Question{Operation: runtime.ProtocolVersion}, nil)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(answer.Payload, &version); err != nil || version != "v1" {
		return "", fmt.Errorf("the module answered %q; known: \"v1\"", answer.Payload)
	}
	return version, nil
}
