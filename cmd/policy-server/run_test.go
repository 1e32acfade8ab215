package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"

	"policy-server/cmd/internal/logs"
	"policy-server/hostcalls/oci"
)

// TestMain lets the server of a test compile in processes of its own, which are this binary.
func TestMain(m *testing.M) {
	if exit, compiled := compileModule(os.Args[1:]); compiled {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}

// call runs the program with args and returns its exit code and outputs.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// file writes content to a file of the test's own.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsageErrors(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":        {[]string{"--colour"}, "error: unexpected argument '--colour' found\n\nUsage: policy-server [OPTIONS] [COMMAND]\n\nFor more information, try '--help'.\n"},
		"unknown subcommand":  {[]string{"serve"}, "error: unrecognized subcommand 'serve'\n  [possible values: docs, help]"},
		"its flags":           {[]string{"serve", "--fast"}, "error: unrecognized subcommand 'serve'"},
		"help about nothing":  {[]string{"help", "serve"}, "error: unrecognized subcommand 'serve'"},
		"docs of something":   {[]string{"docs", "serve"}, "error: unexpected argument 'serve' found\n\nUsage: policy-server docs --output <FILE>\n"},
		"value missing":       {[]string{"--port"}, "error: a value is required for '--port' but none was supplied"},
		"flag twice":          {[]string{"--port", "1", "--port", "2"}, "error: the argument '--port' cannot be used multiple times"},
		"switch twice":        {[]string{"--continue-on-errors", "--continue-on-errors"}, "error: the argument '--continue-on-errors' cannot be used multiple times"},
		"port out of range":   {[]string{"--port", "65536"}, "error: invalid value '65536' for '--port <PORT>': not a port; legal: 0 to 65535"},
		"no compiler time":    {[]string{"--compile-timeout", "0"}, "error: invalid value '0' for '--compile-timeout <SECONDS>': not a number of seconds; legal: 1 or more\n"},
		"compiler of a byte":  {[]string{"--compile-memory", "1"}, "error: invalid value '1' for '--compile-memory <BYTES>': legal: 0 for a part of the memory there is, or 67108864 to 1125899906842624 bytes"},
		"no workers":          {[]string{"--workers", "0"}, "error: invalid value '0' for '--workers <N>': not a number of evaluations; legal: 1 to 65536"},
		"workers are words":   {[]string{"--workers", "many"}, "error: invalid value 'many' for '--workers <N>'"},
		"budget too small":    {[]string{"--memory-budget", "1"}, "error: invalid value '1' for '--memory-budget <BYTES>': legal: 0 for a part of the memory there is, or 1048576 to 1125899906842624 bytes"},
		"budget in words":     {[]string{"--memory-budget", "1Gi"}, "error: invalid value '1Gi' for '--memory-budget <BYTES>': not a number of bytes"},
		"no memory":           {[]string{"--memory-limit", "1"}, "error: invalid value '1' for '--memory-limit <BYTES>': not a number of bytes; legal: 65536 to 4294967296"},
		"cache of years":      {[]string{"--image-verification-cache-ttl", "90000"}, "error: invalid value '90000' for '--image-verification-cache-ttl <SECONDS>': not a number of seconds; legal: 0 to 86400"},
		"cache for ever":      {[]string{"--image-verification-cache-tag-ttl", "-1"}, "error: invalid value '-1' for '--image-verification-cache-tag-ttl <SECONDS>': not a number of seconds"},
		"unknown sandbox":     {[]string{"--sandbox-mode", "dirty"}, "error: invalid value 'dirty' for '--sandbox-mode <MODE>'\n  [possible values: reset, fresh]"},
		"no time":             {[]string{"--policy-timeout", "0"}, "error: invalid value '0' for '--policy-timeout <SECONDS>': not a number of seconds; legal: 1 or more, or --disable-timeout-protection"},
		"unknown log format":  {[]string{"--log-fmt", "xml"}, "error: invalid value 'xml' for '--log-fmt <LOG_FMT>'\n  [possible values: text, json, otlp]"},
		"upper-case level":    {[]string{"--log-level", "INFO"}, "error: invalid value 'INFO' for '--log-level <LOG_LEVEL>'\n  [possible values: trace, debug, info, warn, error]"},
		"docs without output": {[]string{"docs"}, "the following required arguments were not provided:\n  --output <FILE>"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := call(t, c.args...)
			if code != 2 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, stdout %q, stderr %q, want %q", code, stdout, stderr, c.want)
			}
		})
	}
}

// TestUnsupported holds that every setting without function refuses to be set, by its own name, as
// flag and as variable.
func TestUnsupported(t *testing.T) {
	tested := 0
	for _, s := range table() {
		if s.set != nil {
			continue
		}
		tested++
		t.Run(s.flag, func(t *testing.T) {
			args, value := []string{"--" + s.flag}, "true"
			if s.placeholder != "" {
				args, value = []string{"--" + s.flag, "x"}, "x"
			}
			want := "error: '--" + s.flag + "' (" + s.env + ") is not supported yet"
			if code, _, stderr := call(t, args...); code != 2 || !strings.Contains(stderr, want) {
				t.Errorf("flag: exit %d, %q, want %q", code, stderr, want)
			}
			t.Setenv(s.env, value)
			if code, _, stderr := call(t); code != 2 || !strings.Contains(stderr, want) {
				t.Errorf("variable: exit %d, %q, want %q", code, stderr, want)
			}
			if s.placeholder == "" {
				t.Setenv(s.env, "false")
				if code, _, stderr := call(t, "--policies", "none.yml"); code != 1 || strings.Contains(stderr, "not supported") {
					t.Errorf("switched off: exit %d, %q", code, stderr)
				}
			}
		})
	}
	if tested == 0 {
		t.Error("no setting is unsupported: is the table read right?")
	}
	if code, _, stderr := call(t, "--log-fmt", "otlp"); code != 2 || !strings.Contains(stderr, "value 'otlp' for '--log-fmt <LOG_FMT>' (KUBEWARDEN_LOG_FMT) is not supported yet") {
		t.Errorf("otlp: exit %d, %q", code, stderr)
	}
}

func TestStartErrors(t *testing.T) {
	none := file(t, "")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"host name as address":    {[]string{"--addr", "localhost"}, "Error: error parsing arguments: invalid socket address syntax\n"},
		"no policies file":        {[]string{"--policies", "/none.yml"}, `Error: error while loading policies from "/none.yml": open /none.yml: no such file or directory`},
		"bad policies file":       {[]string{"--policies", file(t, "a: {settings: []}")}, "a: module is missing"},
		"no sources file":         {[]string{"--policies", none, "--sources-path", "/none.yml"}, "Error: error while loading sources from /none.yml: "},
		"bad sources file":        {[]string{"--policies", none, "--sources-path", file(t, "insecure_sources: a.com")}, "insecure_sources"},
		"unreadable authority":    {[]string{"--policies", none, "--sources-path", file(t, "source_authorities: {a.com: [{type: Path, path: /none.pem}]}")}, "Error: error while loading sources from "},
		"no verification file":    {[]string{"--policies", none, "--verification-path", "/none.yml"}, "Error: failed to read verification file: "},
		"bad verification file":   {[]string{"--policies", none, "--verification-path", file(t, "allOf: 1")}, "Not a valid configuration file: "},
		"no trust config file":    {[]string{"--policies", none, "--sigstore-trust-config", "/none.json"}, "Error: could not read Sigstore trust config file /none.json: "},
		"bad trust config file":   {[]string{"--policies", none, "--sigstore-trust-config", none}, "Error: could not parse Sigstore trust config file " + none + ": "},
		"trust config without":    {[]string{"--policies", none, "--sigstore-trust-config", file(t, "{}")}, " missing trusted_root field\n"},
		"keyless, no trust root":  {[]string{"--policies", none, "--verification-path", file(t, "allOf: [{kind: githubAction, owner: alice}]"), "--sigstore-cache-dir", none + "/cache"}, "Error building Sigstore trust root: Cannot create directory to cache sigstore data: "},
		"certificate, no key":     {[]string{"--policies", none, "--cert-file", none}, "Error: both certificate and key must be provided together\n"},
		"key, no certificate":     {[]string{"--policies", none, "--key-file", none, "--client-ca-file", none}, "Error: both certificate and key must be provided together\n"},
		"client CA alone":         {[]string{"--policies", none, "--client-ca-file", none}, "Error: client CA certificate requires server certificate and key to be specified\n"},
		"no certificate":          {[]string{"--policies", none, "--cert-file", none, "--key-file", none}, "Error: " + none + ": Expected exactly one certificate in certificate file, found 0\n"},
		"docs to no folder":       {[]string{"docs", "--output", "/none/docs.md"}, "Error: cannot create file /none/docs.md: "},
		"the first policy is bad": {[]string{"--policies", file(t, "a: {module: 'file:///none.wasm'}")}, "Error: Error while downloading policy 'a' from file:///none.wasm: "},
		"no cluster to read":      {[]string{"--policies", file(t, "a: {module: 'file:///none.wasm', contextAwareResources: [{apiVersion: v1, kind: Pod}]}")}, "Error: Cannot connect to Kubernetes, context aware policies would not work properly: find a cluster: "},
		"no cluster to ask":       {[]string{"--policies", file(t, "a: {module: 'file:///none.wasm', hostCapabilities: ['kubernetes/*']}")}, "\nHint: run in a pod, let KUBECONFIG name a cluster, or start without one with --ignore-kubernetes-connection-failure\n"},
		"no cluster, ignored":     {[]string{"--ignore-kubernetes-connection-failure", "--policies", file(t, "a: {module: 'file:///none.wasm', hostCapabilities: ['*']}")}, "Error: Error while downloading policy 'a'"},
		"no cluster, not needed":  {[]string{"--policies", file(t, "a: {module: 'file:///none.wasm', hostCapabilities: ['oci/*']}")}, "Error: Error while downloading policy 'a'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", "")
			t.Setenv("HOME", t.TempDir())
			t.Setenv("KUBEWARDEN_POLICIES_DOWNLOAD_DIR", t.TempDir())
			code, _, stderr := call(t, c.args...)
			if code != 1 || !strings.HasPrefix(stderr, "Error: ") || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, %q, want %q", code, stderr, c.want)
			}
		})
	}
}

// TestStartWarnings holds what the log says about files that are readable and probably not what was
// meant.
func TestStartWarnings(t *testing.T) {
	policies, sources, directory := file(t, "a: {module: 'file:///none.wasm', polcyMode: monitor}"), file(t, "insecure: [a.com]"), t.TempDir()
	t.Setenv("DOCKER_CONFIG", "") // so that what the flag sets is taken back
	code, stdout, _ := call(t, "--policies", policies, "--sources-path", sources, "--docker-config-json-path", directory, "--policies-download-dir", t.TempDir())
	for _, want := range []string{
		`WARN policy_server: configuration warning="` + policies + `: a.polcyMode: unknown key, ignored"`,
		`WARN policy_server: configuration warning="` + sources + `: insecure: unknown key, ignored"`,
		`WARN policy_server: registries are asked without credentials: --docker-config-json-path must name the directory that holds config.json error="stat ` + directory,
		`WARN policy_server: no verification config: policies are served unsigned`,
		`ERROR policy_server: policy download failed policy_id="a" `,
	} {
		if code != 1 || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, log lacks %s:\n%s", code, want, stdout)
		}
	}
}

func TestResolve(t *testing.T) {
	environment := map[string]string{
		"KUBEWARDEN_PORT": "8443", "KUBEWARDEN_LOG_LEVEL": "trace", "KUBEWARDEN_CONTINUE_ON_ERRORS": "true",
		"KUBEWARDEN_DISABLE_TIMEOUT_PROTECTION": "false", "NO_COLOR": "1", "KUBEWARDEN_BIND_ADDRESS": "[::]",
	}
	lookup := func(name string) (string, bool) { text, ok := environment[name]; return text, ok }
	command := new(cobra.Command)
	values := addFlags(command)
	if err := command.ParseFlags([]string{"--log-level=warn", "--workers", "3", "--policy-timeout", "7", "--disable-timeout-protection"}); err != nil {
		t.Fatal(err)
	}
	o, err := resolve(values, lookup)
	if err != nil {
		t.Fatal(err)
	}
	if o.port != 8443 || o.readinessPort != 8081 || o.logLevel != zapcore.WarnLevel || o.workers != 3 || !o.continueOnErrors || !o.noTimeout ||
		o.policyTimeout != 7*time.Second || o.logFormat != logs.Text || o.policies != "policies.yml" || o.downloadDir != "." {
		t.Errorf("got %+v", o)
	}
	if want := (oci.CacheConfig{Lifetime: 5 * time.Minute, DigestLifetime: time.Minute, Bytes: 64 << 20}); o.imageCache != want {
		t.Errorf("images are remembered as %+v, want %+v", o.imageCache, want)
	}
	if address := join(o.address, o.port); address != "[::]:8443" {
		t.Errorf("address %s", address)
	}
	for name, text := range map[string]string{"KUBEWARDEN_CONTINUE_ON_ERRORS": "1", "KUBEWARDEN_DISABLE_TIMEOUT_PROTECTION": "yes", "KUBEWARDEN_ENABLE_METRICS": ""} {
		_, err := resolve(addFlags(new(cobra.Command)), func(asked string) (string, bool) { return text, asked == name })
		if err == nil || !strings.Contains(err.Error(), "[possible values: true, false]") {
			t.Errorf("%s=%q: %v", name, text, err)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	code, help, _ := call(t, "--help")
	if code != 0 {
		t.Errorf("help: exit %d", code)
	}
	for line := range strings.Lines(help) {
		if len([]rune(line)) > 121 { // the line break is one
			t.Errorf("too wide: %q", line)
		}
	}
	for _, s := range table() {
		if strings.Contains(help, "--"+s.flag+" ") == s.hidden || strings.Contains(help, s.env) == s.hidden {
			t.Errorf("help shows --%s: %t", s.flag, !s.hidden)
		}
	}
	for _, flag := range []string{"-V", "--version"} {
		if code, version, _ := call(t, flag); code != 0 || !strings.HasPrefix(version, "policy-server 0.") {
			t.Errorf("%s: exit %d, %q", flag, code, version)
		}
	}
	path := filepath.Join(t.TempDir(), "docs.md")
	if code, _, stderr := call(t, "docs", "-o", path); code != 0 {
		t.Fatalf("docs: exit %d, %s", code, stderr)
	}
	docs, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(docs, []byte("| `--port PORT` | `KUBEWARDEN_PORT` | `3000` |")) {
		t.Errorf("docs: %s, %v", docs, err)
	}
}
