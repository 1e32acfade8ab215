package policy_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"policy-server/admission"
	"policy-server/policy"
)

// FuzzParseDefinitions holds that whatever is accepted has settings that are a JSON object and
// names that can be served.
func FuzzParseDefinitions(f *testing.F) {
	f.Add([]byte("a: {module: m, settings: {x: [1, 0x1F, 1.5, ~, yes]}, hostCapabilities: ['*']}"))
	f.Add([]byte("a: &x\n  module: m\nb: *x\n"))
	f.Add([]byte(`{"a":{"module":"m","settings":null,"timeoutEvalSeconds":5}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		definitions, _, err := policy.ParseDefinitions(file)
		if err != nil {
			return
		}
		for _, d := range definitions {
			var object map[string]any
			if err := json.Unmarshal(d.Settings, &object); err != nil {
				t.Fatalf("settings of %q: %v: %s", d.ID, err, d.Settings)
			}
			if _, err := policy.ParseID(string(d.ID)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzParseSettings holds that settings are refused or become a JSON object, the same one if they
// were one.
func FuzzParseSettings(f *testing.F) {
	f.Add([]byte(`{"a":"\/\ud83d\ude00","b":[1e3,-0,123456789012345678901234567890,null,true,"~"],"<<":{"c":{}}}`))
	for _, seed := range []string{"", "null", "{}", "a: {b: [1, 0x1F]}\n", "- a", "a: &b [*b]", "1", "\t{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		settings, err := policy.ParseSettings(data)
		var want, got map[string]any
		if err == nil && (json.Unmarshal(settings, &got) != nil || got == nil) {
			t.Fatalf("%q became %q", data, settings)
		}
		if _, invalid := admission.ParseRaw(data); invalid != nil || json.Unmarshal(data, &want) != nil || want == nil {
			return // it is no JSON object; YAML has its own rules
		}
		if err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %s", data, settings)
		}
	})
}

// FuzzParseMetadata holds that accepted metadata survives being written and read again.
func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"protocolVersion":"v1","rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"operations":["CREATE"]}],"mutating":false}`))
	f.Add([]byte("rules: []\nmutating: true\nexecutionMode: wasi\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		metadata, err := policy.ParseMetadataYAML(data)
		if err != nil {
			return
		}
		_, _ = metadata.CheckAuthored(), metadata.CheckServable()
		written, err := metadata.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := policy.ParseMetadata(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if rewritten, err := again.Encode(); err != nil || string(rewritten) != string(written) {
			t.Fatalf("%s became %s, %v", written, rewritten, err)
		}
	})
}
