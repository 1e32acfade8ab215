package main

import (
	"fmt"
	"strings"

	"policy-server/policy"
	"policy-server/runtime/wasm"
)

// executionModes are the values of --execution-mode. kubewarden is what kwctl's help says,
// kubewarden-wapc what policies' metadata says.
var executionModes = []string{"opa", "gatekeeper", "kubewarden", "kubewarden-wapc", "wasi"}

// preparedModule is a module that says how it is to be run.
type preparedModule struct {
	code      []byte // with metadata, in any case
	metadata  policy.Metadata
	annotated bool // by its author
}

// prepare finds out how the module is to be run. A module without metadata gets some: the server
// would refuse it, but authors run their modules before they annotate them.
func (t *trial) prepare(code []byte) (preparedModule, error) {
	metadata, annotated, err := policy.ReadMetadata(code)
	if err != nil {
		return preparedModule{}, saidf("Error parsing policy metadata: %w", err)
	}
	if err := checkVersion(metadata); err != nil {
		return preparedModule{}, err
	}
	parsed, err := wasm.Parse(code)
	if err != nil {
		return preparedModule{}, err
	}
	mode, err := executionMode(policy.ExecutionMode(t.mode.Text), metadata.ExecutionMode, isRego(parsed))
	if err != nil || annotated {
		return preparedModule{code, metadata, annotated}, err
	}
	metadata = policy.Metadata{
		ProtocolVersion:       "v1",
		Rules:                 []policy.Rule{},
		ExecutionMode:         mode,
		PolicyType:            "kubernetes",
		ContextAwareResources: []policy.MetadataKind{},
	}
	section, err := metadata.Encode()
	if err != nil {
		return preparedModule{}, err
	}
	return preparedModule{parsed.WithCustom(policy.MetadataSection, section), metadata, false}, nil
}

// checkVersion refuses a policy that wants a newer Kubewarden.
func checkVersion(metadata policy.Metadata) error {
	// In this mode the version is all there is to check.
	wanted := policy.Metadata{ExecutionMode: policy.ExecuteWASI, MinimumKubewardenVersion: metadata.MinimumKubewardenVersion}
	if wanted.CheckServable() == nil {
		return nil
	}
	release := strings.SplitN(wanted.MinimumKubewardenVersion, ".", 3) // at least three parts: it was parsed before
	return saidf("Policy required Kubewarden version %s.%s.0 or greater. But it's running on %s", release[0], release[1], policy.CompatibleVersion)
}

// executionMode settles how a module is run, from what the user asked for and what its metadata
// declares, each "" when there is nothing, and what it was compiled from.
func executionMode(asked, declared policy.ExecutionMode, rego bool) (policy.ExecutionMode, error) {
	if asked == "kubewarden" {
		asked = policy.ExecuteWaPC
	}
	mode := declared
	switch {
	case asked != "" && declared != "" && asked != declared:
		return "", saidf("The policy execution mode specified via CLI flag is different from the one reported inside of policy's metadata. Metadata reports %s instead of %s", declared, asked)
	case asked != "":
		mode = asked
	case declared == "" && rego:
		return "", saidf("The policy has been created with Rego, please specify which Opa runtime has to be used")
	case declared == "":
		mode = policy.ExecuteWaPC
	}
	switch forRego := mode == policy.ExecuteOPA || mode == policy.ExecuteGatekeeper; {
	case forRego && !rego:
		return "", saidf("The policy has not been created with Rego, the policy execution mode specified via CLI flag is wrong")
	case !forRego && rego:
		return "", saidf("The policy has been created with Rego, the policy execution mode specified via CLI flag is wrong")
	case forRego:
		return "", fmt.Errorf("execution mode %q is not supported yet; supported: %s, %s", mode, policy.ExecuteWaPC, policy.ExecuteWASI)
	}
	return mode, nil
}
