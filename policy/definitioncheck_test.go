package policy_test

import (
	"testing"
	"time"

	"policy-server/policy"
	"policy-server/runtime"
)

// TestDefinition_Check holds that a definition earns the same messages, made in code or read.
func TestDefinition_Check(t *testing.T) {
	minute, before := time.Minute, -time.Second
	for name, c := range map[string]struct {
		made       policy.Definition
		file, want string
	}{
		"the least": {policy.Definition{ID: "a", Module: "m"}, "a: {module: m}", ""},
		"everything": {policy.Definition{
			ID: "a", Module: "m", Mode: policy.Monitor, AllowedToMutate: true, Settings: []byte(` {"a": 1}`), Message: new(""), Timeout: &minute,
			Resources: []policy.Resource{{APIVersion: "v1", Kind: "Pod"}}, Sandbox: runtime.ModeFresh, MemoryLimit: 64 << 10,
		}, "a: {module: m, policyMode: monitor, allowedToMutate: true, settings: {a: 1}, message: '', timeoutEvalSeconds: 60, " +
			"contextAwareResources: [{apiVersion: v1, kind: Pod}], sandboxMode: fresh, memoryLimitBytes: 65536}", ""},
		"no name":          {policy.Definition{Module: "m"}, "'': {module: m}", `"": Not a valid Policy ID: `},
		"slash in a name":  {policy.Definition{ID: "a/b", Module: "m"}, "a/b: {module: m}", "a/b: policy name 'a/b' contains a '/' character"},
		"no module":        {policy.Definition{ID: "a"}, "a: {}", "a: module is missing"},
		"unknown mode":     {policy.Definition{ID: "a", Module: "m", Mode: "Protect"}, "a: {module: m, policyMode: Protect}", `a.policyMode: "Protect" is no mode; known: protect, monitor`},
		"settings as list": {policy.Definition{ID: "a", Module: "m", Settings: []byte("[]")}, "a: {module: m, settings: []}", "a.settings: settings must be a mapping"},
		"settings as text": {policy.Definition{ID: "a", Module: "m", Settings: []byte("{a")}, "a: {module: m, settings: '{a'}", "a.settings: settings must be a mapping"},
		"negative time":    {policy.Definition{ID: "a", Module: "m", Timeout: &before}, "a: {module: m, timeoutEvalSeconds: -1}", "a.timeoutEvalSeconds: not a whole number of seconds"},
		"unknown sandbox":  {policy.Definition{ID: "a", Module: "m", Sandbox: "dirty"}, "a: {module: m, sandboxMode: dirty}", `a.sandboxMode: "dirty" is no sandbox mode; known: reset, fresh`},
		"little memory":    {policy.Definition{ID: "a", Module: "m", MemoryLimit: 65535}, "a: {module: m, memoryLimitBytes: 65535}", "a.memoryLimitBytes: not a number of bytes; at least 65536, a page of WebAssembly memory"},
		"negative memory":  {policy.Definition{ID: "a", Module: "m", MemoryLimit: -1}, "a: {module: m, memoryLimitBytes: -1}", "a.memoryLimitBytes: not a number of bytes; at least 65536, a page of WebAssembly memory"},
		"resources, the second and third of the list": {
			policy.Definition{ID: "a", Module: "m", Resources: []policy.Resource{{APIVersion: "v1", Kind: "Pod"}, {APIVersion: "v1"}, {}}},
			"a: {module: m, contextAwareResources: [{apiVersion: v1, kind: Pod}, {apiVersion: v1}, {}]}",
			"a.contextAwareResources[1]: kind is missing\na.contextAwareResources[2]: apiVersion is missing\na.contextAwareResources[2]: kind is missing",
		},
		"all at once": {policy.Definition{ID: "a", Mode: "x", Sandbox: "y"}, "a: {policyMode: x, sandboxMode: y}",
			"a: module is missing\na.policyMode: \"x\" is no mode; known: protect, monitor\na.sandboxMode: \"y\" is no sandbox mode; known: reset, fresh"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := message(c.made.Check()); got != c.want {
				t.Errorf("made in code:\n%s\nwant\n%s", got, c.want)
			}
			definitions, _, err := policy.ParseDefinitions([]byte(c.file))
			if got := message(err); got != c.want {
				t.Errorf("read:\n%s\nwant\n%s", got, c.want)
			}
			for _, d := range definitions {
				if err := d.Check(); err != nil {
					t.Errorf("read without fault, then: %v", err)
				}
			}
		})
	}
}

// TestParseDefinitions_once holds that a field that cannot be read is not called missing as well,
// and that the empty words and numbers that stand for a default in code do not in a file.
func TestParseDefinitions_once(t *testing.T) {
	for file, want := range map[string]string{
		"a: {module: 1}":                      "a.module: not a string",
		"a: {module: m, policyMode: ''}":      `a.policyMode: "" is no mode; known: protect, monitor`,
		"a: {module: m, sandboxMode: [x]}":    "a.sandboxMode: not a string",
		"a: {module: m, memoryLimitBytes: 0}": "a.memoryLimitBytes: not a number of bytes; at least 65536, a page of WebAssembly memory",
		"a: {module: m, contextAwareResources: [{apiVersion: v1, kind: 1}, x]}": "a.contextAwareResources[0].kind: not a string\na.contextAwareResources[1]: not a mapping with apiVersion and kind",
		"a/b: m":                                "a/b: policy name 'a/b' contains a '/' character\na/b: a policy is a mapping with the key module",
		"a: {module: m, hostCapabilities: [1]}": "a.hostCapabilities[0]: not a string",
		"a: {module: m}\n[b]: {module: m}":      "line 2: a key is not text",
		"a: {module: m, settings: {b: &c [*c]}, policyMode: x, timeoutEvalSeconds: }": "a.settings: line 1: alias \"c\" contains itself\na.policyMode: \"x\" is no mode; known: protect, monitor",
	} {
		if _, _, err := policy.ParseDefinitions([]byte(file)); message(err) != want {
			t.Errorf("%s: got\n%v\nwant\n%s", file, err, want)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
