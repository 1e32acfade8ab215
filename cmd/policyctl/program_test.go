package main

import (
	"bytes"
	"strings"
	"testing"

	"policy-server/policy"
)

func TestUsageErrors(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct {
		args string
		want string
	}{
		"unknown command":             {"rum", "unrecognized subcommand 'rum'\n  [possible values: annotate, "},
		"unknown command with flags":  {"rum -r request.json", "unrecognized subcommand 'rum'"},
		"unknown command's help":      {"help rum", "unrecognized subcommand 'rum'\n  [possible values: annotate, "},
		"unknown scaffold's help":     {"help scaffold rum", "unrecognized subcommand 'rum'\n  [possible values: verification-config]"},
		"help about an argument":      {"help run p.wasm", "unexpected argument 'p.wasm' found"},
		"flag of no command":          {"--fast run", "unexpected argument '--fast' found\n\nUsage: kwctl [OPTIONS] <COMMAND>\n"},
		"flag and no command":         {"scaffold --fast", "unexpected argument '--fast' found\n\nUsage: kwctl scaffold [OPTIONS] <COMMAND>\n"},
		"unknown flag":                {"run --fast", "unexpected argument '--fast' found\n\nUsage: kwctl run [OPTIONS] --request-path <FILE> <POLICY>\n"},
		"unknown short flag":          {"run -x", "unexpected argument '-x' found"},
		"flag without value":          {"run -r", "a value is required for '-r' but none was supplied"},
		"annotate without anything":   {"annotate", "the following required arguments were not provided:\n  --metadata-path <FILE>\n  --output-path <FILE>\n  <WASM>"},
		"annotate without output":     {"annotate -m m.yml p.wasm", "not provided:\n  --output-path <FILE>\n\n"},
		"run without request":         {"run p.wasm", "not provided:\n  --request-path <FILE>\n\n"},
		"run without policy":          {"run -r r.json", "not provided:\n  <POLICY>\n\n"},
		"push without destination":    {"push p.wasm", "not provided:\n  <URI>\n\n"},
		"pull without anything":       {"pull", "not provided:\n  <URI>\n\n"},
		"too many":                    {"inspect a.wasm b.wasm", "unexpected argument 'b.wasm' found"},
		"value twice":                 {"run -r a -r b p.wasm", "the argument '--request-path' cannot be used multiple times"},
		"switch twice":                {"push -f --force p.wasm r/p", "the argument '--force' cannot be used multiple times"},
		"verbose twice":               {"-v inspect -v p.wasm", "the argument '--verbose' cannot be used multiple times"},
		"switch with a value":         {"push --force=maybe p.wasm r/p", "invalid value 'maybe' for '--force'\n  [possible values: true, false]"},
		"unknown output of push":      {"push -o xml p.wasm r/p", "invalid value 'xml' for '--output <FORMAT>'\n  [possible values: text, json]"},
		"unknown output of inspect":   {"inspect -o json p.wasm", "invalid value 'json' for '--output <FORMAT>'\n  [possible values: yaml]"},
		"unknown mode":                {"run -r r.json -e fast p.wasm", "[possible values: opa, gatekeeper, kubewarden, kubewarden-wapc, wasi]"},
		"annotation without =":        {"verify -a env r/p", "invalid value 'env' for '--verification-annotation <KEY=VALUE>'"},
		"annotation without key":      {"verify -a =prod r/p", "invalid value '=prod'"},
		"unsafe and verification":     {"pull --allow-unsigned-unsafe -k key.pub r/p", "'--allow-unsigned-unsafe' cannot be used with other verification flags"},
		"unsafe and a config":         {"pull --allow-unsigned-unsafe --verification-config-path c.yml r/p", "'--allow-unsigned-unsafe' cannot be used with other verification flags"},
		"save without anything":       {"save", "not provided:\n  --output <FILE>\n  <POLICY>"},
		"save without policies":       {"save -o a.tar.gz", "not provided:\n  <POLICY>\n\n"},
		"load without archive":        {"load", "not provided:\n  --input <FILE>\n\n"},
		"load of a name":              {"load a.tar.gz --input a.tar.gz", "unexpected argument 'a.tar.gz' found"},
		"digest without anything":     {"digest", "not provided:\n  <URI>\n\n"},
		"rm without anything":         {"rm", "not provided:\n  <POLICY>\n\n"},
		"rm of two":                   {"rm a b", "unexpected argument 'b' found"},
		"policies of something":       {"policies a", "unexpected argument 'a' found"},
		"unknown scaffold":            {"scaffold vap -p vap.yml", "unrecognized subcommand 'vap'\n  [possible values: verification-config]"},
		"unknown scaffold, no flags":  {"scaffold manifest", "unrecognized subcommand 'manifest'\n  [possible values: verification-config]"},
		"completions without shell":   {"completions", "not provided:\n  --shell <SHELL>\n\n"},
		"unknown shell":               {"completions -s elvish", "[possible values: bash, fish, powershell, zsh]"},
		"YAML":                        {"run -r r.json policies.yaml", "a YAML file of policies is not supported yet"},
		"capability and no policy":    {"run -r r.json --allowed-host-capabilities oci/*", "not provided:\n  <POLICY>\n\n"},
		"misspelt capability, behind": {"run -r r.json p.wasm --allowed-host-capabilities oci/v9/verify", "unexpected argument 'oci/v9/verify' found"},
	} {
		t.Run(name, func(t *testing.T) { u.does(strings.Fields(c.args)...).refuses(t, c.want) })
	}
}

func TestNoCommand(t *testing.T) {
	u := newUser(t)
	for want, args := range map[string][]string{"kwctl [OPTIONS] <COMMAND>": nil, "kwctl scaffold [OPTIONS] <COMMAND>": {"scaffold"}} {
		r := u.does(args...)
		if r.code != 2 || r.stdout != "" || !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, "Available Commands:") {
			t.Errorf("%q: exit code %d, stdout %q, stderr\n%s", args, r.code, r.stdout, r.stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	u := newUser(t)
	for _, args := range []string{"--help", "-h", "help", "help run", "help help", "help scaffold verification-config", "run --help", "pull -h", "-v push --help", "verify --no-color --help", "inspect --help", "annotate --help", "digest -h", "save -h", "load -h", "rm -h", "policies -h", "sign -h", "generate-key-pair -h", "scaffold -h", "scaffold verification-config -h", "completions -h"} {
		r := u.does(strings.Fields(args)...)
		if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, "Usage:\n  kwctl") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", args, r.code, r.stdout, r.stderr)
		}
		for line := range strings.Lines(r.stdout) {
			if len([]rune(line)) > 121 { // the line break is one
				t.Errorf("%s: too wide: %q", args, line)
			}
		}
	}
}

// TestName holds that the name the program is called by is the one it shows.
func TestName(t *testing.T) {
	newUser(t)
	for name, c := range map[string]struct {
		called string
		want   string
	}{
		"drop-in":              {"/usr/local/bin/kwctl", "kwctl " + policy.CompatibleVersion + "\n"},
		"drop-in, in the path": {"kwctl", "kwctl " + policy.CompatibleVersion + "\n"},
		"drop-in, Windows":     {"kwctl.exe", "kwctl " + policy.CompatibleVersion + "\n"},
		"own name":             {"./policyctl", "policyctl 0."},
		"any other name":       {"policyctl-linux-amd64", "policyctl 0."},
	} {
		t.Run(name, func(t *testing.T) {
			for _, flag := range []string{"--version", "-V"} {
				var stdout, stderr bytes.Buffer
				code := run([]string{c.called, flag}, strings.NewReader(""), &stdout, &stderr)
				if code != 0 || stderr.Len() > 0 || !strings.HasPrefix(stdout.String(), c.want) {
					t.Errorf("%s: exit code %d, stdout %q, stderr %q", flag, code, &stdout, &stderr)
				}
			}
		})
	}
}

// TestGlobalFlags holds that -v and --no-color go before and behind the command.
func TestGlobalFlags(t *testing.T) {
	u := newUser(t)
	request := u.writes("request.json", "{}")
	accepts := guest(t, "accepts")
	for _, args := range [][]string{
		{"-v", "--no-color", "run", "--raw", "-r", request, accepts},
		{"--verbose", "run", "--raw", "-r", request, accepts, "--no-color"},
		{"run", "--raw", "--no-color", "-v", "-r", request, accepts},
	} {
		if r := u.must(args...); !strings.Contains(r.stderr, " INFO kwctl: policy download") || strings.Contains(r.stderr, "\x1b") {
			t.Errorf("%q: %s", args, r.stderr)
		}
	}
	if r := u.must("run", "--raw", "-r", request, accepts); r.stderr != "" {
		t.Errorf("without -v: %s", r.stderr)
	}
}
