package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"policy-server/policy"
	"policy-server/runtime/wasm"
)

const rawAllowed = `{"uid":"","allowed":true,"auditAnnotations":null,"warnings":null}` + "\n"

func TestRun(t *testing.T) {
	u := newUser(t)
	request, review := u.writes("request.json", podRequest), u.writes("review.json", podReview)
	other := u.writes("other.json", `{"uid":"7","n":[1]}`)
	accepts, rejects := u.annotated("accepts", podMetadata), u.annotated("rejects", podMetadata)
	raw := u.annotated("wasi_accepts", wasiMetadata)
	podRejected := `{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":false,"status":{"message":"refused by the test guest","code":403},"auditAnnotations":null,"warnings":null}` + "\n"
	sevenAllowed := strings.Replace(rawAllowed, `"uid":""`, `"uid":"7"`, 1)
	for name, c := range map[string]struct {
		args   []string
		stdout string
	}{
		"accepted request":             {[]string{"-r", request, accepts}, podAllowed},
		"accepted review":              {[]string{"-r", review, accepts}, podAllowed},
		"rejected request":             {[]string{"-r", request, rejects}, podRejected},
		"rejected review":              {[]string{"-r", review, rejects}, podRejected},
		"raw by metadata":              {[]string{"-r", other, raw}, sevenAllowed},
		"raw by flag":                  {[]string{"--raw", "-r", other, accepts}, sevenAllowed},
		"raw without metadata":         {[]string{"--raw", "-r", other, guest(t, "accepts")}, sevenAllowed},
		"raw, no object":               {[]string{"--raw", "-r", u.writes("list.json", "[]"), accepts}, rawAllowed},
		"without metadata":             {[]string{"-r", request, guest(t, "accepts")}, podAllowed},
		"WASI without metadata":        {[]string{"-e", "wasi", "-r", request, guest(t, "wasi_accepts")}, podAllowed},
		"mode agrees":                  {[]string{"-e", "kubewarden-wapc", "-r", request, accepts}, podAllowed},
		"mode agrees, other name":      {[]string{"--execution-mode=kubewarden", "-r", request, accepts}, podAllowed},
		"settings of a file":           {[]string{"-s", u.writes("s.yml", "a: 1\n"), "-r", request, accepts}, podAllowed},
		"settings of a JSON file":      {[]string{"-s", u.writes("s.json", `{"a": "\ud83d\ude00"}`), "-r", request, accepts}, podAllowed},
		"settings of an empty file":    {[]string{"-s", u.writes("e.yml", "# nothing\n"), "-r", request, accepts}, podAllowed},
		"settings of the command line": {[]string{"--settings-json", `{"a": "\ud83d\ude00"}`, "-r", request, accepts}, podAllowed},
		"no settings":                  {[]string{"--settings-json", "null", "-r", request, accepts}, podAllowed},
		"the file's settings count":    {[]string{"--settings-json", "[", "-s", u.writes("s.yml", "a: 1\n"), "-r", request, accepts}, podAllowed},
		"no cache":                     {[]string{"--disable-wasmtime-cache", "-r", request, accepts}, podAllowed},
		"after two dashes":             {[]string{"-r", request, "--", accepts}, podAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			r := u.in(t).must(append([]string{"run"}, c.args...)...)
			if r.stdout != c.stdout {
				t.Errorf("got  %swant %s", r.stdout, c.stdout)
			}
			if strings.Contains(r.stdout+r.stderr, "patch") {
				t.Errorf("the word patch occurs: %s%s", r.stdout, r.stderr)
			}
		})
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), "policy-") {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}

func TestRun_stdin(t *testing.T) {
	u := newUser(t)
	r := u.pipes(podReview, "run", "-r", "-", u.annotated("accepts", podMetadata))
	if r.code != 0 || r.stdout != podAllowed || r.stderr != "" || !json.Valid([]byte(r.stdout)) {
		t.Errorf("%+v", r)
	}
}

// TestRun_names runs policies by each of their names; those in the store without a registry.
func TestRun_names(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	file := u.annotated("accepts", podMetadata)
	u.pushed(file, host+"/pods:v1")
	request := u.writes("request.json", podRequest)
	sha := sha256Of(t, file)
	t.Chdir(u.dir)
	for _, name := range []string{filepath.Base(file), "./" + filepath.Base(file), "file://" + file, "registry://" + host + "/pods:v1"} {
		if r := u.must("run", "-r", request, name); r.stdout != podAllowed {
			t.Errorf("%s: %s", name, r.stdout)
		}
	}
	stop()
	for _, name := range []string{sha[:4], "registry://" + host + "/pods:v1", host + "/pods:v1"} {
		if r := u.must("run", "-r", request, name); r.stdout != podAllowed {
			t.Errorf("%s: %s", name, r.stdout)
		}
	}
}

func TestRun_errors(t *testing.T) {
	u := newUser(t)
	request, accepts := u.writes("request.json", podRequest), u.annotated("accepts", podMetadata)
	sent := func(text string) []string { return []string{"-r", u.writes(quoted(text), text), accepts} }
	newer := u.annotated("wasi_accepts", wasiMetadata+"minimumKubewardenVersion: 1.40.7-rc1\n")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"request missing":          {[]string{"-r", "none.json", accepts}, "Error: Error opening request file none.json; No such file or directory\n"},
		"request empty":            {[]string{"-r", "-", accepts}, "Error: EOF while parsing a value at line 1 column 0\n"},
		"request is text":          {sent("hello"), "Error: expected value at line 1 column 1\n"},
		"request is a list":        {sent("[]"), "Error: Invalid request object\n"},
		"request is null":          {sent("null"), "Error: Invalid request object\n"},
		"review without request":   {sent(`{"kind":"AdmissionReview"}`), "Error: invalid AdmissionReview object\n"},
		"review with half of one":  {sent(`{"kind":"AdmissionReview","request":{}}`), "Error: cannot build AdmissionRequest object from given input: missing field `uid`"},
		"no request":               {sent(`{"object":{}}`), "Error: cannot build AdmissionRequest object from given input: missing field `uid`"},
		"settings missing":         {[]string{"-s", "none.yml", "-r", request, accepts}, "Error: Cannot open settings file none.yml: No such file or directory\n"},
		"settings are not YAML":    {[]string{"-s", u.writes("bad.yml", "a: [\n"), "-r", request, accepts}, "Error: Cannot parse settings file " + filepath.Join(u.dir, "bad.yml") + ": "},
		"settings are a list":      {[]string{"-s", u.writes("list.yml", "- a\n"), "-r", request, accepts}, "Invalid settings in CRD, not an object\n"},
		"settings are not JSON":    {[]string{"--settings-json", "a: 1", "-r", request, accepts}, "Error: Cannot parse settings JSON: expected value at line 1 column 1\n"},
		"settings are a number":    {[]string{"--settings-json", "1", "-r", request, accepts}, "Invalid settings in CRD, not an object\n"},
		"settings refused":         {[]string{"-r", request, guest(t, "settings_invalid")}, "Error: Provided settings are not valid: no settings please this guest\n"},
		"settings kill the policy": {[]string{"-r", request, guest(t, "traps_in_settings")}, "Error: Provided settings are not valid: Error invoking settings validation callback: GuestCallFailure("},
		"newer server wanted":      {[]string{"-r", request, newer}, "Error: Policy required Kubewarden version 1.40.0 or greater. But it's running on " + policy.CompatibleVersion + "\n"},
		"policy missing":           {[]string{"-r", request, "none.wasm"}, "Error: Cannot find policy with uri: none.wasm\nHint: "},
		"file missing":             {[]string{"-r", request, "file:///none.wasm"}, `Error: fetch "file:///none.wasm": `},
		"unknown scheme":           {[]string{"-r", request, "ftp://git.example/p.wasm"}, "Error: unknown scheme: ftp\n"},
		"policy is no module":      {[]string{"-r", request, request}, "invalid wasm file\n"},
		"module does not compile":  {[]string{"-r", request, guest(t, "unknown_import")}, "Error: cannot compile module: unknown import: "},
		"sources missing":          {[]string{"-r", request, "--sources-path", "none.yaml", accepts}, "Error: Error getting remote server options: "},
		"raw YAML":                 {[]string{"--raw", "-r", request, "policies.yml"}, "Error: The --raw option cannot be used with a YAML file: policies.yml\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := u.does(append([]string{"run"}, c.args...)...)
			r.fails(t, c.want)
			if strings.Count(r.stderr, "Error: ") > 2 || strings.Contains(r.stderr, os.TempDir()+"/policy-") {
				t.Errorf("says too much: %s", r.stderr)
			}
		})
	}
}

// TestRun_guestFailures holds that a policy that fails is an answer, not an error.
func TestRun_guestFailures(t *testing.T) {
	u := newUser(t)
	request := u.writes("request.json", podRequest)
	for name, c := range map[string]struct{ guest, status, log string }{
		"trap":     {"traps_after_print", `"status":{"message":"internal server error: `, "out of luck :-("},
		"not JSON": {"answers_not_json", `"status":{"message":"internal server error: invalid response from policy: `, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := u.in(t).must("run", "-r", request, guest(t, c.guest))
			if !strings.Contains(r.stdout, `"allowed":false,`+c.status) || !strings.Contains(r.stdout, `"code":500}`) || !strings.Contains(r.stderr, c.log) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestRun_mutation covers a policy that changes what it is asked about.
func TestRun_mutation(t *testing.T) {
	u := newUser(t)
	module := u.writes("mutates.wasm", replaced(t, "rejects", `{"accepted":false,"message":"refused by the test guest","code":403}`, `{"accepted":true,"mutated_object":{"a":1}}`))
	r := u.must("run", "--raw", "-r", u.writes("request.json", `{"uid":"7"}`), module)
	const want = `{"uid":"7","allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL2EiLCJ2YWx1ZSI6MX0seyJvcCI6InJlbW92ZSIsInBhdGgiOiIvdWlkIn1d","auditAnnotations":null,"warnings":null}` + "\n"
	if r.stdout != want {
		t.Errorf("stdout %s", r.stdout)
	}
}

// replaced returns a guest with one of its texts replaced by another one, blanks making up for the
// difference.
func replaced(t *testing.T, guestName, before, after string) string {
	t.Helper()
	code := string(read(t, guest(t, guestName)))
	if !strings.Contains(code, before) || len(after) > len(before) {
		t.Fatalf("cannot replace %q", before)
	}
	return strings.Replace(code, before, after+strings.Repeat(" ", len(before)-len(after)), 1)
}

// TestRun_manyLines holds that what a policy says about its settings is printed as it is.
func TestRun_manyLines(t *testing.T) {
	u := newUser(t)
	module := u.writes("refuses.wasm", replaced(t, "settings_invalid", `no settings please this guest"}`, `two:\n\t^-- \u001b[1mfour"}`))
	u.does("run", "-r", u.writes("request.json", podRequest), module).fails(t, "Error: Provided settings are not valid: two:\n\t^-- \uFFFD[1mfour\n")
}

func TestRun_executionMode(t *testing.T) {
	u := newUser(t)
	request := u.writes("request.json", podRequest)
	modules := map[string]string{"Rego": regoModule(), "other": string(read(t, guest(t, "accepts")))}
	const (
		different = "Error: The policy execution mode specified via CLI flag is different from the one reported inside of policy's metadata. Metadata reports "
		isRego    = "Error: The policy has been created with Rego, the policy execution mode specified via CLI flag is wrong"
		notRego   = "Error: The policy has not been created with Rego, the policy execution mode specified via CLI flag is wrong"
		unsaid    = "Error: The policy has been created with Rego, please specify which Opa runtime has to be used"
		later     = " is not supported yet; supported: kubewarden-wapc, wasi"
	)
	for name, c := range map[string]struct{ module, declared, flag, want string }{
		"opa and waPC":           {"other", "opa", "kubewarden", different + "opa instead of kubewarden-wapc"},
		"opa and waPC, Rego":     {"Rego", "opa", "kubewarden-wapc", different + "opa instead of kubewarden-wapc"},
		"wasi, Rego":             {"Rego", "wasi", "wasi", isRego},
		"wasi, Rego, no flag":    {"Rego", "wasi", "", isRego},
		"gatekeeper, not Rego":   {"other", "gatekeeper", "gatekeeper", notRego},
		"opa, not Rego, no flag": {"other", "opa", "", notRego},
		"opa, Rego":              {"Rego", "opa", "", `Error: execution mode "opa"` + later},
		"gatekeeper, Rego":       {"Rego", "gatekeeper", "gatekeeper", `Error: execution mode "gatekeeper"` + later},
		"none, opa, Rego":        {"Rego", "", "opa", `Error: execution mode "opa"` + later},
		"none, wasi, Rego":       {"Rego", "", "wasi", isRego},
		"none, opa, not Rego":    {"other", "", "opa", notRego},
		"none, none, Rego":       {"Rego", "", "", unsaid},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			module := []byte(modules[c.module])
			if c.declared != "" {
				parsed, err := wasm.Parse(module)
				if err != nil {
					t.Fatal(err)
				}
				module = parsed.WithCustom(policy.MetadataSection, []byte(`{"protocolVersion":"v1","rules":[],"mutating":false,"executionMode":"`+c.declared+`"}`))
			}
			args := []string{"run", "-r", request, u.writes("module.wasm", string(module))}
			if c.flag != "" {
				args = append(args, "-e", c.flag)
			}
			u.does(args...).fails(t, c.want)
		})
	}
}

// TestRun_capabilities asks what a policy may use by a guest that uses what nobody has: the answer
// names what was granted.
func TestRun_capabilities(t *testing.T) {
	u := newUser(t)
	request, p := u.writes("request.json", podRequest), guest(t, "unknown_host_call")
	const denied = "Policy has not been granted access to the 'no-such-capability/none' host capability. The violation has been reported."
	for name, c := range map[string]struct {
		args    []string
		granted string // "" for everything
	}{
		"by default":                {[]string{p}, ""},
		"everything":                {[]string{"--allowed-host-capabilities", "*", p}, ""},
		"one, then the policy":      {[]string{"--allowed-host-capabilities", "oci/*", p}, "[oci/*]"},
		"several, then the policy":  {[]string{"--allowed-host-capabilities", "oci/*", "net/v1/dns_lookup_host", p}, "[oci/*, net/v1/dns_lookup_host]"},
		"behind the policy":         {[]string{p, "--allowed-host-capabilities", "oci/*", "net/*"}, "[net/*, oci/*]"},
		"dashes before the policy":  {[]string{"--allowed-host-capabilities", "oci/*", "--", p}, "[oci/*]"},
		"equals sign":               {[]string{"--allowed-host-capabilities=oci/*", p}, "[oci/*]"},
		"equals sign, then another": {[]string{"--allowed-host-capabilities=oci/*", "--raw", p}, "[oci/*]"},
		"repeated":                  {[]string{"--allowed-host-capabilities", "oci/*", "--allowed-host-capabilities", "net/*", p}, "[net/*, oci/*]"},
		"none":                      {[]string{p, "--allowed-host-capabilities"}, "[]"},
		"none, then a flag":         {[]string{"--allowed-host-capabilities", "--raw", p}, "[]"},
		"none, then the policy":     {[]string{"--allowed-host-capabilities", p}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := u.in(t).must(append([]string{"run", "-r", request}, c.args...)...)
			if c.granted == "" {
				if !strings.Contains(r.stdout, "unknown namespace: no-such-capability") {
					t.Errorf("stdout %s", r.stdout)
				}
				return
			}
			if !strings.Contains(r.stdout, `"allowed":false`) || !strings.Contains(r.stdout, denied) || !strings.Contains(r.stderr, `allowed_capabilities="`+c.granted+`"`) {
				t.Errorf("%+v", r)
			}
		})
	}
	for name, c := range map[string]struct{ pattern, want string }{
		"empty":        {"", "invalid pattern: pattern must not be empty"},
		"partial":      {"oci*", `invalid pattern "oci*": wildcard '*' must be the entire last path segment (e.g. 'oci/*'), not a partial match`},
		"unknown":      {"oci/v9/verify", `invalid pattern "oci/v9/verify": unknown segment "v9", valid options at this level are: v1, v2, v3`},
		"not complete": {"oci", `invalid pattern "oci": not a complete capability path; use "oci/*" to allow all capabilities under it`},
	} {
		t.Run(name, func(t *testing.T) {
			u.does("run", "-r", request, "--allowed-host-capabilities="+c.pattern, p).fails(t, "Error: Invalid host capabilities pattern: "+c.want)
		})
	}
	u.does("run", "-r", request, "--allowed-host-capabilities", "oci*", p).fails(t, `invalid pattern "oci*"`)
}

// TestRun_contextAware covers what is said about policies that read the cluster.
func TestRun_contextAware(t *testing.T) {
	u := newUser(t)
	u.startsCluster()
	request := u.writes("request.json", podRequest)
	aware := u.annotated("accepts", awareMetadata)
	plain := u.writes("plain.wasm", string(read(t, guest(t, "accepts"))))
	denied := []string{
		"WARN kwctl: Policy requires access to Kubernetes resources at evaluation time. During this execution the access to Kubernetes resources is denied. This can cause the policy to not behave properly",
		"WARN kwctl: Carefully review which types of Kubernetes resources the policy needs via the `inspect` command, then run the policy using the `--allow-context-aware` flag.",
	}
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"aware":                 {[]string{aware}, denied},
		"aware, allowed":        {[]string{"--allow-context-aware", aware}, nil},
		"not annotated":         {[]string{plain}, nil},
		"not annotated, though": {[]string{"--allow-context-aware", plain}, []string{"INFO kwctl: Policy is not annotated, access to Kubernetes resources is not allowed"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := u.in(t).must(append([]string{"run", "-r", request}, c.args...)...)
			var got []string
			for line := range strings.Lines(r.stderr) {
				_, event, _ := strings.Cut(strings.TrimSpace(line), " ") // the time
				got = append(got, strings.TrimSpace(event))
			}
			if r.stdout != podAllowed || !slices.Equal(got, c.want) {
				t.Errorf("stdout %q, stderr %q", r.stdout, got)
			}
		})
	}
}

// FuzzRequest: any document is refused or becomes a request that has what every evaluation needs.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{podRequest, podReview, `{"kind":"AdmissionReview"}`, `{"kind":"AdmissionReview","request":null}`, `{"KIND":"AdmissionReview"}`, "[]", "null", ""} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		request, err := requestText(data).request(raw)
		if err != nil {
			return
		}
		if request.IsRaw() != raw {
			t.Errorf("raw: %t", request.IsRaw())
		}
		if payload := request.Payload([]byte("{}")); !json.Valid(payload) {
			t.Errorf("the guest would get %s", payload)
		}
	})
}

// FuzzSpreadCapabilities: spreading changes nothing but the arguments behind the flag, and nothing
// the second time.
func FuzzSpreadCapabilities(f *testing.F) {
	for _, seed := range []string{"", "run -r a p", "--allowed-host-capabilities oci/* p", "--allowed-host-capabilities * -- *", "--allowed-host-capabilities=a net/*", "--allowed-host-capabilities --allowed-host-capabilities oci/v1/verify -v"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Fields(line)
		spread := spreadCapabilities(args)
		if len(spread) != len(args) || !slices.Equal(spreadCapabilities(spread), spread) {
			t.Fatalf("%q became %q", args, spread)
		}
		for i, arg := range args {
			if spread[i] != arg && (spread[i] != "--"+capabilitiesFlag+"="+arg || strings.HasPrefix(arg, "-")) {
				t.Errorf("%q became %q", arg, spread[i])
			}
		}
	})
}
