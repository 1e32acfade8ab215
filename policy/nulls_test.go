package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"policy-server/policy"
)

// TestNulls_metadata holds what stands for nothing in each field of metadata: nothing written
// behind the key, null in YAML, null in JSON. "" is accepted; else it is what the error says.
func TestNulls_metadata(t *testing.T) {
	for field, want := range map[string]struct{ nothing, yaml, json string }{
		"rules":                         {"", "missing field `rules`", "missing field `rules`"},
		"rules[0]":                      {"", "rules[0]: want a mapping, got null", "rules[0]: want a mapping, got null"},
		"rules[0].apiGroups":            {"", "rules[0].apiGroups: want a list, got null", "rules[0].apiGroups: want a list, got null"},
		"rules[0].apiVersions":          {"", "rules[0].apiVersions: want a list, got null", "rules[0].apiVersions: want a list, got null"},
		"rules[0].resources":            {"", "rules[0].resources: want a list, got null", "rules[0].resources: want a list, got null"},
		"rules[0].operations":           {"", "rules[0].operations: want a list, got null", "rules[0].operations: want a list, got null"},
		"rules[0].resources[0]":         {"", "", "rules[0].resources[0]: want a string, got null"},
		"annotations":                   {"", "", ""},
		"annotations.a":                 {"", "", "annotations.a: want a string, got null"},
		"mutating":                      {"mutating: want true or false, got null", "missing field `mutating`", "missing field `mutating`"},
		"backgroundAudit":               {"backgroundAudit: want true or false, got null", "backgroundAudit: want true or false, got null", "backgroundAudit: want true or false, got null"},
		"executionMode":                 {`executionMode: unknown variant ""`, `executionMode: unknown variant "null"`, "executionMode: want a string, got null"},
		"policyType":                    {`policyType: unknown variant ""`, `policyType: unknown variant "null"`, "policyType: want a string, got null"},
		"protocolVersion":               {"", "", ""},
		"minimumKubewardenVersion":      {"", "", ""},
		"contextAwareResources":         {"", "contextAwareResources: want a list, got null", "contextAwareResources: want a list, got null"},
		"contextAwareResources[0]":      {"", "contextAwareResources[0]: want a mapping, got null", "contextAwareResources[0]: want a mapping, got null"},
		"contextAwareResources[0].kind": {"", "", "contextAwareResources[0].kind: want a string, got null"},
		"hostCapabilities":              {"", "", ""},
		"hostCapabilities[0]":           {"", "", "hostCapabilities[0]: want a string, got null"},
	} {
		t.Run(field, func(t *testing.T) {
			_, nothing := policy.ParseMetadataYAML([]byte(metadataWith(field, "")))
			_, yaml := policy.ParseMetadataYAML([]byte("# not JSON\n" + metadataWith(field, "null")))
			_, json := policy.ParseMetadata([]byte(metadataWith(field, "null")))
			for _, c := range []struct {
				how  string
				got  error
				want string
			}{{"nothing", nothing, want.nothing}, {"null in YAML", yaml, want.yaml}, {"null in JSON", json, want.json}} {
				if (c.got == nil) != (c.want == "") || !strings.HasPrefix(message(c.got), c.want) {
					t.Errorf("%s: got %v, want %q", c.how, c.got, c.want)
				}
			}
		})
	}
}

// metadataWith returns metadata, JSON, with value in the place of one value.
func metadataWith(field, value string) string {
	text := func(at, otherwise string) string {
		if at == field {
			return value
		}
		return otherwise
	}
	list := func(at, item string) string { return text(at, "["+text(at+"[0]", item)+"]") }
	rule := fmt.Sprintf(`{"apiGroups": %s, "apiVersions": %s, "resources": %s, "operations": %s}`, list("rules[0].apiGroups", `""`),
		list("rules[0].apiVersions", `"v1"`), list("rules[0].resources", `"pods"`), list("rules[0].operations", `"CREATE"`))
	return fmt.Sprintf(`{"rules": %s, "annotations": %s, "mutating": %s, "backgroundAudit": %s, "executionMode": %s, "policyType": %s,
 "protocolVersion": %s, "minimumKubewardenVersion": %s, "contextAwareResources": %s, "hostCapabilities": %s}`,
		list("rules", rule), text("annotations", `{"a": `+text("annotations.a", `"b"`)+`}`), text("mutating", "true"),
		text("backgroundAudit", "true"), text("executionMode", `"wasi"`), text("policyType", `"raw"`), text("protocolVersion", `"v1"`),
		text("minimumKubewardenVersion", `"1.0.0"`),
		list("contextAwareResources", `{"apiVersion": "v1", "kind": `+text("contextAwareResources[0].kind", `"Pod"`)+`}`),
		list("hostCapabilities", `"oci/*"`))
}

// TestNulls_definitions holds the same for policies.yml, where nothing and null are one: the
// reference reads an entry before it knows whether it is a policy or a group.
func TestNulls_definitions(t *testing.T) {
	for field, want := range map[string]string{
		"module":                "a: module is missing",
		"policyMode":            "a.policyMode: ",
		"allowedToMutate":       "",
		"settings":              "",
		"contextAwareResources": "a.contextAwareResources: not a list of {apiVersion, kind}",
		"message":               "",
		"timeoutEvalSeconds":    "",
		"hostCapabilities":      "a.hostCapabilities: not a list of capability patterns",
		"sandboxMode":           "a.sandboxMode: ",
		"memoryLimitBytes":      "a.memoryLimitBytes: not a number of bytes",
		"namespacedName":        "",
	} {
		for _, value := range []string{"", "null", "~"} {
			file := "a:\n  " + field + ": " + value
			if field != "module" {
				file += "\n  module: m"
			}
			if _, _, err := policy.ParseDefinitions([]byte(file)); (err == nil) != (want == "") || !strings.HasPrefix(message(err), want) {
				t.Errorf("%s: got %v, want %q", file, err, want)
			}
		}
	}
}

// TestParseMetadata_rawPolicy reads metadata as upstream's raw policies have it.
func TestParseMetadata_rawPolicy(t *testing.T) {
	metadata, err := policy.ParseMetadataYAML([]byte("rules:\nmutating: true\ncontextAware: false\nexecutionMode: kubewarden-wapc\npolicyType: raw\nannotations:\n  io.kubewarden.policy.version: 1.0\n"))
	if err != nil || metadata.Rules == nil || len(metadata.Rules) != 0 || metadata.Annotations["io.kubewarden.policy.version"] != "1.0" {
		t.Errorf("got %+v, %v", metadata, err)
	}
}
