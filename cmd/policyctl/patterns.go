package main

import (
	"strings"

	"github.com/spf13/pflag"

	"policy-server/hostcalls"
)

const capabilitiesFlag = "allowed-host-capabilities"

// noPatterns stands for the flag without any pattern. It is no legal pattern, and the help shows it
// as the flag's value.
const noPatterns = "PATTERN ..."

// patterns is the flag for the host capabilities a policy is granted: without it all, given without
// a value none. pflag knows no flags with several values; see spreadCapabilities.
type patterns struct {
	given bool
	texts []string
}

func (c *patterns) add(flags *pflag.FlagSet) {
	flag := flags.VarPF(c, capabilitiesFlag, "",
		"host capabilities the policy may use, such as oci/* or net/v1/dns_lookup_host; several after one another, can be repeated; none at all when no pattern follows (default *)")
	flag.NoOptDefVal = noPatterns
}

// granted returns the patterns that count.
func (c *patterns) granted() []string {
	if !c.given {
		return []string{"*"}
	}
	return c.texts
}

func (c *patterns) String() string { return "" }

// Type is empty: the help prints noPatterns instead.
func (c *patterns) Type() string { return "" }

// Set adds a pattern.
func (c *patterns) Set(text string) error {
	c.given = true
	if text != noPatterns {
		c.texts = append(c.texts, text)
	}
	return nil
}

// spreadCapabilities gives each of several patterns behind the flag a flag of its own. The list
// ends where an argument cannot be a pattern, so that the name of a policy may follow it: none
// contains an asterisk or is a capability's name.
func spreadCapabilities(args []string) []string {
	var spread []string
	inList := false
	for i, arg := range args {
		if arg == "--" {
			return append(spread, args[i:]...)
		}
		inList = inList && looksLikePattern(arg)
		if inList {
			arg = "--" + capabilitiesFlag + "=" + arg
		}
		spread = append(spread, arg)
		inList = inList || arg == "--"+capabilitiesFlag
	}
	return spread
}

func looksLikePattern(arg string) bool {
	if strings.HasPrefix(arg, "-") {
		return false
	}
	_, err := hostcalls.ParseGrants([]string{arg})
	return err == nil || strings.Contains(arg, "*")
}
