package policy_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"policy-server/policy"
	"policy-server/runtime"
)

func TestParseDefinitions(t *testing.T) {
	definitions, warnings, err := policy.ParseDefinitions([]byte(`
1:
  module: &m registry://ghcr.io/acme/one:v1
full:
  namespacedName: {Namespace: "", Name: full}
  module: *m
  policyMode: monitor
  allowedToMutate: true
  settings: {a: 1}
  contextAwareResources: [{apiVersion: v1, kind: Pod, extra: x}, {apiVersion: v1, kind: Pod}, {apiVersion: apps/v1, kind: Deployment}]
  message: ""
  timeoutEvalSeconds: 0
  hostCapabilities: ["oci/*", net/v1/dns_lookup_host]
  sandboxMode: fresh
  memoryLimitBytes: 1048576
  colour: red
nulls:
  module: file:///p.wasm
  allowedToMutate: null
  settings: null
  message: null
  timeoutEvalSeconds: null
both: {module: x/y, expression: "a()", policies: {}}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(definitions) != 4 || definitions[0].ID != "1" || definitions[1].ID != "both" || definitions[2].ID != "full" || definitions[3].ID != "nulls" {
		t.Fatalf("got %+v", definitions)
	}
	one, full, nulls := definitions[0], definitions[2], definitions[3]
	if one.Module != "registry://ghcr.io/acme/one:v1" || one.Mode != policy.Protect || one.AllowedToMutate || string(one.Settings) != "{}" ||
		one.Message != nil || one.Timeout != nil || one.Resources != nil || one.Grants.String() != "[]" {
		t.Errorf("defaults: %+v", one)
	}
	if full.Module != one.Module || full.Mode != policy.Monitor || !full.AllowedToMutate || string(full.Settings) != `{"a":1}` ||
		*full.Message != "" || *full.Timeout != time.Duration(0) || len(full.Resources) != 2 || full.Grants.String() != "[oci/*, net/v1/dns_lookup_host]" ||
		full.Sandbox != runtime.ModeFresh || full.MemoryLimit != 1<<20 {
		t.Errorf("everything given: %+v", full)
	}
	if nulls.AllowedToMutate || string(nulls.Settings) != "{}" || nulls.Message != nil || nulls.Timeout != nil {
		t.Errorf("nulls: %+v", nulls)
	}
	if len(warnings) != 1 || warnings[0] != "full.colour: unknown key, ignored" {
		t.Errorf("warnings: %q", warnings)
	}
}

func TestParseDefinitions_controllerJSON(t *testing.T) {
	definitions, warnings, err := policy.ParseDefinitions([]byte(`{"clusterwide-privileged":{"namespacedName":{"Namespace":"","Name":"privileged"},"module":"registry://ghcr.io/kubewarden/policies/pod-privileged:v1.0.10","policyMode":"protect","allowedToMutate":false,"settings":{},"hostCapabilities":["*"]}}`))
	if err != nil || len(warnings) != 0 || len(definitions) != 1 || definitions[0].Grants.String() != "[*]" {
		t.Errorf("%+v, %q, %v", definitions, warnings, err)
	}
}

func TestParseDefinitions_empty(t *testing.T) {
	for _, file := range []string{"", "---\n", "{}", "# only a comment\n"} {
		if definitions, _, err := policy.ParseDefinitions([]byte(file)); err != nil || len(definitions) != 0 {
			t.Errorf("%q: %v, %v", file, definitions, err)
		}
	}
}

func TestParseDefinitions_refuses(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"null":                    {"null", "document is not a mapping from policy name to policy"},
		"list":                    {"- a", "document is not a mapping from policy name to policy"},
		"two documents":           {"a: {module: m}\n---\nb: {module: m}", "deserializing from YAML containing more than one document is not supported"},
		"not YAML":                {"a: [", "yaml: "},
		"slash in a name":         {"a/b: {module: m}", "a/b: policy name 'a/b' contains a '/' character"},
		"empty name":              {`"": {module: m}`, `"": Not a valid Policy ID: `},
		"entry is a string":       {"a: m", "a: a policy is a mapping with the key module"},
		"no module":               {"a: {settings: {}}", "a: module is missing"},
		"group":                   {"a: {policies: {}, expression: 'true', message: m}", "a: policy groups are not supported yet"},
		"module is a number":      {"a: {module: 1}", "a.module: not a string"},
		"null mode":               {"a: {module: m, policyMode: null}", `a.policyMode: "null" is no mode; known: protect, monitor`},
		"upper-case mode":         {"a: {module: m, policyMode: Protect}", `a.policyMode: "Protect" is no mode`},
		"string as boolean":       {`a: {module: m, allowedToMutate: "true"}`, "a.allowedToMutate: not true or false"},
		"yes is a string":         {`a: {module: m, allowedToMutate: yes}`, "a.allowedToMutate: not true or false"},
		"settings are a list":     {"a: {module: m, settings: []}", "a.settings: settings must be a mapping"},
		"null resources":          {"a: {module: m, contextAwareResources: null}", "a.contextAwareResources: not a list of {apiVersion, kind}"},
		"resource without kind":   {"a: {module: m, contextAwareResources: [{apiVersion: v1}]}", "a.contextAwareResources[0]: kind is missing"},
		"resource is a string":    {"a: {module: m, contextAwareResources: [Pod]}", "a.contextAwareResources[0]: not a mapping with apiVersion and kind"},
		"float timeout":           {"a: {module: m, timeoutEvalSeconds: 5.0}", "a.timeoutEvalSeconds: not a whole number of seconds"},
		"negative timeout":        {"a: {module: m, timeoutEvalSeconds: -1}", "a.timeoutEvalSeconds: not a whole number of seconds"},
		"text timeout":            {`a: {module: m, timeoutEvalSeconds: "5"}`, "a.timeoutEvalSeconds: not a whole number of seconds"},
		"null capabilities":       {"a: {module: m, hostCapabilities: null}", "a.hostCapabilities: not a list of capability patterns"},
		"bad capability":          {"a: {module: m, hostCapabilities: ['oci*']}", `invalid hostCapabilities pattern for policy a: invalid pattern "oci*": wildcard`},
		"unknown sandbox mode":    {"a: {module: m, sandboxMode: dirty}", `a.sandboxMode: "dirty" is no sandbox mode; known: reset, fresh`},
		"memory below a page":     {"a: {module: m, memoryLimitBytes: 1}", "a.memoryLimitBytes: not a number of bytes; at least 65536"},
		"memory in words":         {"a: {module: m, memoryLimitBytes: 64Mi}", "a.memoryLimitBytes: not a number of bytes"},
		"field twice":             {"a: {module: m, module: n}", "a.module: given twice"},
		"number key in settings":  {"a: {module: m, settings: {1: x}}", `a.settings: line 1: key "1" is not a string; quote it`},
		"tag in settings":         {"a: {module: m, settings: {x: !foo y}}", `a.settings: line 1: tag "!foo" is not supported`},
		"integer beyond 64 bits":  {"a: {module: m, settings: {x: 18446744073709551616}}", `does not fit 64 bits`},
		"alias of itself":         {"a: {module: m, settings: &s {x: *s}}", `a.settings: line 1: alias "s" contains itself`},
		"aliases that grow":       {bomb(), "document is too large once its aliases are expanded"},
		"every fault at once (1)": {"a: {policyMode: x}\nb: {module: 1}", "a: module is missing"},
		"every fault at once (2)": {"a: {policyMode: x}\nb: {module: 1}", "b.module: not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := policy.ParseDefinitions([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// bomb is a document whose aliases double twenty-seven times.
func bomb() string {
	var b strings.Builder
	b.WriteString("a: {module: m, settings: {first: &l0 xxxxxxxx, ")
	for i := range 27 {
		b.WriteString(strings.NewReplacer("N", strconv.Itoa(i+1), "P", strconv.Itoa(i)).Replace("lN: &lN [*lP, *lP], "))
	}
	return b.String() + "}}"
}

func TestParseSettings(t *testing.T) {
	for yaml, want := range map[string]string{
		"": "{}", "null": "{}", "{}": "{}", "---": "{}", `{"a": [1, {"b": null}]}`: `{"a":[1,{"b":null}]}`,
		"a: yes": `{"a":"yes"}`, "a: no": `{"a":"no"}`, "a: on": `{"a":"on"}`, "a: y": `{"a":"y"}`, "a: tRUE": `{"a":"tRUE"}`,
		"a: True": `{"a":true}`, "a: FALSE": `{"a":false}`, "a: Null": `{"a":null}`, "a: ~": `{"a":null}`, "a:": `{"a":null}`,
		"a: 0x1F": `{"a":31}`, "a: -0o14": `{"a":-12}`, "a: 0b11": `{"a":3}`, "a: 0X1F": `{"a":"0X1F"}`,
		"a: 014": `{"a":"014"}`, "a: 08": `{"a":"08"}`, "a: 00": `{"a":"00"}`, "a: 1_000": `{"a":"1_000"}`, "a: 12:30:45": `{"a":"12:30:45"}`,
		"a: 2024-01-01": `{"a":"2024-01-01"}`, "a: 1E400": `{"a":"1E400"}`, "a: =": `{"a":"="}`,
		"a: +12": `{"a":12}`, "a: -5": `{"a":-5}`, "a: -0": `{"a":0}`, "a: 18446744073709551615": `{"a":18446744073709551615}`,
		"a: 1.5": `{"a":1.5}`, "a: .5": `{"a":0.5}`, "a: 1.": `{"a":1.0}`, "a: 1e3": `{"a":1000.0}`, "a: 1E5": `{"a":100000.0}`, "a: +1.5": `{"a":1.5}`,
		"a: !!float 1": `{"a":1.0}`, "a: 1e16": `{"a":1e+16}`, "a: 1.5e300": `{"a":1.5e+300}`, "a: 0.00001": `{"a":0.00001}`, "a: 0.000001": `{"a":1e-6}`,
		"a: 0.00000015": `{"a":1.5e-7}`, "a: -0.0": `{"a":-0.0}`, "a: 100.50": `{"a":100.5}`,
		"a: .inf": `{"a":null}`, "a: -.Inf": `{"a":null}`, "a: .NaN": `{"a":null}`,
		`a: "1"`: `{"a":"1"}`, "a: 'true'": `{"a":"true"}`, "a: !!str 1": `{"a":"1"}`, "a: !!binary aGk=": `{"a":"aGk="}`, `a: !!int "2"`: `{"a":2}`, `a: !!bool "true"`: `{"a":true}`,
		"a: |\n  x\n  y\n": `{"a":"x\ny\n"}`, "b: &x {c: 1}\na: *x": `{"b":{"c":1},"a":{"c":1}}`,
		"b: &x {c: 1}\na: {<<: *x}": `{"b":{"c":1},"a":{"<<":{"c":1}}}`, "a: 1\na: 2": `{"a":2}`, `a: "<&>\u2028"`: "{\"a\":\"<&>\u2028\"}",
	} {
		if got, err := policy.ParseSettings([]byte(yaml)); err != nil || string(got) != want {
			t.Errorf("%q: got %s, %v; want %s", yaml, got, err, want)
		}
	}
	for _, bad := range []string{"[]", "text", "1", "a: [", "true", `"a"`, "a: 123456789012345678901234567890"} {
		if got, err := policy.ParseSettings([]byte(bad)); err == nil {
			t.Errorf("%q was accepted as %s", bad, got)
		}
	}
}

// TestJSON holds that what is JSON is read as JSON, of which YAML is not a superset.
func TestJSON(t *testing.T) {
	for document, want := range map[string]string{
		`{"a":"\/\ud83d\ude00\u003c"}`:                          `{"a":"/😀<"}`,
		`{"\/": [-0, 1E5, 0.10, true, false, null, "on", "1"]}`: `{"/":[0,100000.0,0.1,true,false,null,"on","1"]}`,
		`{"a":123456789012345678901234567890}`:                  `{"a":1.2345678901234568e+29}`,
		`{"a":18446744073709551615,"a":{"<<":[{}]}}`:            `{"a":{"<<":[{}]}}`,
		"\n{}\t": "{}", " null": "{}",
	} {
		if got, err := policy.ParseSettings([]byte(document)); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", document, got, err, want)
		}
	}
	definitions, warnings, err := policy.ParseDefinitions([]byte(`{"p": {"module": "https:\/\/git.example\/p.wasm", "message": "\ud83d\ude00",
		"settings": {"url": "https:\/\/git.example"}, "timeoutEvalSeconds": 5}}`))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if d := definitions[0]; d.Module != "https://git.example/p.wasm" || *d.Message != "😀" || string(d.Settings) != `{"url":"https://git.example"}` || *d.Timeout != 5*time.Second {
		t.Errorf("got %+v", d)
	}
	_, _, err = policy.ParseDefinitions([]byte("{\n\"p\": {\"module\": \"m\",\n\"settings\": 1}, \"q\": {\n\"module\": 7}}"))
	if err == nil || err.Error() != "p.settings: settings must be a mapping\nq.module: not a string" {
		t.Errorf("got %v", err)
	}
}
