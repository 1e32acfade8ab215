package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/cmd/internal/usage"
	"policy-server/hostcalls"
	"policy-server/policy"
)

// trial is one request that is put to one policy: what the command line of run asks for.
type trial struct {
	request      value
	settingsPath value
	settingsJSON value
	mode         choice
	raw          toggle
	contextAware toggle
	capabilities patterns
	session      sessionFlags
	noCache      toggle
	modules      moduleFlags
}

func (p *program) runCommand() *cobra.Command {
	command := newCommand("run [OPTIONS] --request-path <FILE> <POLICY>",
		"Evaluate a request with a policy",
		`Evaluate a request with a policy, exactly as the policy server would, and print the response as one line of JSON.
The exit code is 0 whether or not the policy accepts the request.

POLICY is a file, a URI (registry://…, https://…; pulled when it is not in the store), or the beginning of a stored
policy's SHA-256. The request is an AdmissionReview or the AdmissionRequest inside of one; for a raw policy it is any
JSON value. A module without metadata is taken to speak waPC.`+proxyHelp,
		arguments([]string{"POLICY"}, "request-path"))
	command.Example = fmt.Sprintf(`  %[1]s run -r request.json policy.wasm
  %[1]s run -r request.json -s settings.yml registry://ghcr.io/kubewarden/policies/safe-labels:v0.1.13
  %[1]s run -r - --settings-json '{"max": 3}' policy.wasm < request.json | jq .allowed`, p.name)
	var t trial
	flags := command.Flags()
	t.request.add(flags, "request-path", "r", "FILE", "the request, JSON; - for standard input")
	t.settingsPath.add(flags, "settings-path", "s", "FILE", "the policy's settings, YAML or JSON")
	t.settingsJSON.add(flags, "settings-json", "", "JSON", "the policy's settings; ignored with --settings-path")
	t.mode.add(flags, "execution-mode", "e", "MODE", "protocol of the module, when its metadata does not say", executionModes...)
	t.raw.add(flags, "raw", "", "hand the request to the policy as it is, even if it is no admission request")
	t.contextAware.add(flags, "allow-context-aware", "", "let the policy read the kinds of Kubernetes resources its metadata lists")
	t.capabilities.add(flags)
	t.session.add(flags)
	t.noCache.add(flags, "disable-wasmtime-cache", "", "compile the module even if it was compiled before")
	t.modules.add(flags)
	command.RunE = func(command *cobra.Command, args []string) error {
		return t.run(command.Context(), p, args[0])
	}
	return command
}

// run puts the request to the policy that name names. Whatever can be found wrong without the
// policy is found first.
func (t *trial) run(ctx context.Context, p *program, name string) error {
	if err := t.session.check(); err != nil {
		return err
	}
	definition, err := t.definition(name)
	if err != nil {
		return err
	}
	document, err := readRequest(t.request.Text, p.stdin)
	if err != nil {
		return err
	}
	places, err := findPlaces()
	if err != nil {
		return err
	}
	log := p.log()
	session, err := t.session.open(log)
	if err != nil {
		return err
	}
	modules, err := t.modules.open(places, places.storeDir(), log)
	if err != nil {
		return err
	}
	uri, err := places.resolve(name)
	if err != nil {
		return err
	}
	code, err := modules.fetch(ctx, uri)
	if err != nil {
		return err
	}
	module, err := t.prepare(code)
	if err != nil {
		return err
	}
	definition.Module = uri
	definition.Resources = t.resources(module, log)
	request, err := document.request(t.raw.on() || module.metadata.PolicyType == "raw")
	if err != nil {
		return err
	}
	codeFolder := places.codeDir()
	if t.noCache.on() {
		codeFolder = ""
	}
	response, err := p.evaluate(ctx, modules, session, codeFolder, module, definition, request)
	if err != nil {
		return err
	}
	session.finish()
	_, err = p.stdout.Write(append(admission.AppendResponse(nil, &response), '\n'))
	return err
}

// definition is the policy as the flags define it, its module not yet known.
func (t *trial) definition(name string) (policy.Definition, error) {
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		if t.raw.on() {
			return policy.Definition{}, saidf("The --raw option cannot be used with a YAML file: %s", name)
		}
		return policy.Definition{}, usage.Errorf("value '%s' for '<POLICY>': a YAML file of policies is not supported yet", name)
	}
	settings, err := t.settings()
	if err != nil {
		return policy.Definition{}, err
	}
	grants, err := hostcalls.ParseGrants(t.capabilities.granted())
	if err != nil {
		return policy.Definition{}, saidf("Invalid host capabilities pattern: %w", err)
	}
	return policy.Definition{
		ID:              "policy-from-cli",
		Mode:            policy.Protect,
		AllowedToMutate: true,
		Settings:        settings,
		Grants:          grants,
	}, nil
}

// resources are the kinds of Kubernetes resources that the policy may read: those its author lists,
// if the user agrees.
func (t *trial) resources(module preparedModule, log *zap.Logger) []policy.Resource {
	listed := module.metadata.ContextAwareResources
	switch {
	case t.contextAware.on() && !module.annotated:
		log.Info("Policy is not annotated, access to Kubernetes resources is not allowed")
	case t.contextAware.on():
		var resources []policy.Resource
		for _, kind := range listed {
			resources = append(resources, policy.Resource(kind))
		}
		return resources
	case len(listed) > 0:
		log.Warn("Policy requires access to Kubernetes resources at evaluation time. During this execution the access to Kubernetes resources is denied. This can cause the policy to not behave properly")
		log.Warn("Carefully review which types of Kubernetes resources the policy needs via the `inspect` command, then run the policy using the `--allow-context-aware` flag.")
	}
	return nil
}
