package policy_test

import (
	"strings"
	"testing"

	"policy-server/policy"
)

func TestParseMetadata(t *testing.T) {
	const smallest = `{"protocolVersion":"v1","rules":[],"mutating":false}`
	for name, c := range map[string]struct{ given, written string }{
		"defaults": {smallest, `{"protocolVersion":"v1","rules":[],"mutating":false,"backgroundAudit":true,"executionMode":"kubewarden-wapc","policyType":"kubernetes","contextAwareResources":[]}`},
		"the old contextAware is ignored": {`{"protocolVersion":"v1","rules":[],"mutating":false,"contextAware":true}`,
			`{"protocolVersion":"v1","rules":[],"mutating":false,"backgroundAudit":true,"executionMode":"kubewarden-wapc","policyType":"kubernetes","contextAwareResources":[]}`},
		"everything": {`{"rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"operations":["CREATE"]}],"mutating":true,"backgroundAudit":false,"executionMode":"wasi","policyType":"raw","annotations":{"b":"2","a":"1"},"contextAwareResources":[{"apiVersion":"v1","kind":"Pod"},{"apiVersion":"apps/v1","kind":"Deployment"},{"apiVersion":"v1","kind":"Pod"}],"hostCapabilities":["oci/*","net/*","oci/*"],"minimumKubewardenVersion":"1.10.0"}`,
			`{"rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"operations":["CREATE"]}],"annotations":{"a":"1","b":"2"},"mutating":true,"backgroundAudit":false,"executionMode":"wasi","policyType":"raw","contextAwareResources":[{"apiVersion":"apps/v1","kind":"Deployment"},{"apiVersion":"v1","kind":"Pod"}],"hostCapabilities":["net/*","oci/*"],"minimumKubewardenVersion":"1.10.0"}`},
	} {
		t.Run(name, func(t *testing.T) {
			metadata, err := policy.ParseMetadata([]byte(c.given))
			if err != nil {
				t.Fatal(err)
			}
			if written, err := metadata.Encode(); err != nil || string(written) != c.written {
				t.Errorf("\n got %s, %v\nwant %s", written, err, c.written)
			}
		})
	}
	for name, c := range map[string]struct{ given, want string }{
		"no rules":          {`{"mutating":false}`, "missing field `rules`"},
		"no mutating":       {`{"rules":[]}`, "missing field `mutating`"},
		"unknown mode":      {`{"rules":[],"mutating":false,"executionMode":"hello world"}`, `executionMode: unknown variant "hello world", expected one of kubewarden-wapc, opa, gatekeeper, wasi`},
		"unknown protocol":  {`{"rules":[],"mutating":false,"protocolVersion":"v2"}`, `protocolVersion: unknown variant "v2", expected one of v1, Unknown`},
		"unknown type":      {`{"rules":[],"mutating":false,"policyType":"x"}`, `policyType: unknown variant "x"`},
		"unknown operation": {`{"rules":[{"operations":["READ"]}],"mutating":false}`, `rules[0].operations: unknown operation "READ"`},
		"bad version":       {`{"rules":[],"mutating":false,"minimumKubewardenVersion":"v1.2"}`, `minimumKubewardenVersion "v1.2"`},
		"not JSON":          {`{`, "unexpected end of JSON input"},
		"too large":         {`{"rules":[],"mutating":false}` + strings.Repeat(" ", 1<<20), "metadata of 1048605 bytes; want at most 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := policy.ParseMetadata([]byte(c.given)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheckServable(t *testing.T) {
	for name, c := range map[string]struct {
		metadata policy.Metadata
		want     string
	}{
		"waPC v1":            {policy.Metadata{ExecutionMode: policy.ExecuteWaPC, ProtocolVersion: "v1"}, ""},
		"waPC without":       {policy.Metadata{ExecutionMode: policy.ExecuteWaPC}, "Policy is missing protocol version, which is required for KubewardenWapc execution mode"},
		"waPC Unknown":       {policy.Metadata{ExecutionMode: policy.ExecuteWaPC, ProtocolVersion: "Unknown"}, "Policy uses protocol version Unknown but only V1 is supported"},
		"OPA Unknown":        {policy.Metadata{ExecutionMode: policy.ExecuteOPA, ProtocolVersion: "Unknown"}, ""},
		"same version":       {policy.Metadata{ExecutionMode: policy.ExecuteWASI, MinimumKubewardenVersion: "1.36.0"}, ""},
		"only a later patch": {policy.Metadata{ExecutionMode: policy.ExecuteWASI, MinimumKubewardenVersion: "1.36.9-rc1"}, ""},
		"older":              {policy.Metadata{ExecutionMode: policy.ExecuteWASI, MinimumKubewardenVersion: "0.99.0"}, ""},
		"a minor newer":      {policy.Metadata{ExecutionMode: policy.ExecuteWASI, MinimumKubewardenVersion: "1.37.5"}, "Policy required Kubewarden version 1.37.0 but is running on 1.36.0"},
		"a major newer":      {policy.Metadata{ExecutionMode: policy.ExecuteWASI, MinimumKubewardenVersion: "2.0.0"}, "Policy required Kubewarden version 2.0.0 but is running on 1.36.0"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.metadata.CheckServable()
			if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheckAuthored(t *testing.T) {
	rule := func(groups, versions, resources, operations string) policy.Rule {
		list := func(text string) []string {
			if text == "-" {
				return nil
			}
			return strings.Split(text, ",")
		}
		return policy.Rule{APIGroups: list(groups), APIVersions: list(versions), Resources: list(resources), Operations: list(operations)}
	}
	for name, c := range map[string]struct {
		rule policy.Rule
		want string // "" when accepted
	}{
		"ordinary":                 {rule("", "v1", "pods", "CREATE,UPDATE"), ""},
		"wildcards alone":          {rule("*", "*", "*/*", "*"), ""},
		"wildcard group with more": {rule(",*", "v1", "pods", "CREATE"), "rules[0].apiGroups: No other elements can be defined when '*' is used"},
		"wildcard operation":       {rule("", "v1", "pods", "*,CREATE"), "rules[0].operations: No other"},
		"no groups":                {rule("-", "v1", "pods", "CREATE"), "rules[0].apiGroups: must not be empty"},
		"no resources":             {rule("", "v1", "-", "CREATE"), "rules[0].resources: must not be empty"},
		"empty resource":           {rule("", "v1", "", "CREATE"), "empty resource is not allowed"},
		"star and subresources":    {rule("", "v1", "*,a/b,a/*,*/b", "CREATE"), ""},
		"resource and its subs":    {rule("", "v1", "a/*,a", "CREATE"), ""},
		"star, then a resource":    {rule("", "v1", "*,a", "CREATE"), "if '*' is present"},
		"resource, then its star":  {rule("", "v1", "a,*", "CREATE"), ""},
		"covered subresource":      {rule("", "v1", "a/*,a/x", "CREATE"), `"a/x" is covered`},
		"covered by any":           {rule("", "v1", "*/a,x/a", "CREATE"), `"x/a" is covered`},
		"everything and more":      {rule("", "v1", "*/*,a", "CREATE"), "if '*/*' is present"},
	} {
		t.Run(name, func(t *testing.T) {
			m := policy.Metadata{ProtocolVersion: "v1", ExecutionMode: policy.ExecuteWaPC, Rules: []policy.Rule{c.rule}}
			err := m.CheckAuthored()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, m := range []policy.Metadata{
		{ExecutionMode: policy.ExecuteWaPC},
		{ExecutionMode: policy.ExecuteWaPC, ProtocolVersion: "Unknown"},
		{ExecutionMode: policy.ExecuteOPA, ProtocolVersion: "Unknown", ContextAwareResources: []policy.MetadataKind{{APIVersion: "v1"}}},
	} {
		if m.CheckAuthored() == nil {
			t.Errorf("%+v was accepted", m)
		}
	}
}
