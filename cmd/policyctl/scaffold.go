package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (p *program) scaffoldCommand() *cobra.Command {
	return group("scaffold [OPTIONS] <COMMAND>",
		"Print a file to start from",
		`Print a file to start from.`,
		p.scaffoldVerificationConfigCommand())
}

func (p *program) scaffoldVerificationConfigCommand() *cobra.Command {
	command := newCommand("verification-config [OPTIONS]",
		"Print a verification config",
		`Print a verification config, which says whose signatures a policy must have. It trusts the policies that the
Kubewarden project publishes from GitHub; add the signers of your own.`,
		arguments(nil))
	command.Example = fmt.Sprintf(`  %[1]s scaffold verification-config > verification-config.yml
  %[1]s verify --verification-config-path verification-config.yml ghcr.io/kubewarden/policies/pod-privileged:v0.3.2`, p.name)
	command.RunE = func(*cobra.Command, []string) error {
		places, err := findPlaces()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, verificationConfig, places.verification())
		return err
	}
	return command
}

// verificationConfig is a file to start from. It ends in an empty line and spells out nulls, as
// kwctl's does.
const verificationConfig = `# The signatures a policy must have. Every entry of allOf must be met, and as many of anyOf's as its minimumMatches says.
#
# As it is, this file accepts policies that were signed by GitHub Actions of the Kubewarden organisation.
#
# It is used by default, by every command that pulls or verifies, when it is saved as
#   %s
#
# All there is to say in it: https://docs.kubewarden.io/next/howtos/security-hardening/secure-supply-chain
apiVersion: v1
allOf:
- kind: githubAction
  owner: kubewarden
  repo: null
  annotations: null
anyOf: null

`
