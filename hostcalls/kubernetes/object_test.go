package kubernetes

import (
	"encoding/json"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"policy-server/hostcalls"
	"policy-server/jsontext"
)

func TestMask(t *testing.T) {
	const users = `{"users":[{"name":"Alice","age":30,"metadata":{"id":1}},{"name":"Bob","age":25,"metadata":{"id":2}}],"metadata":{"count":2}}`
	for name, c := range map[string]struct{ masks, input, want string }{
		"47 two levels":            {"a.b d", `{"a":{"b":1,"c":2},"d":3}`, `{"a":{"b":1},"d":3}`},
		"47 three levels":          {"user.name user.metadata.id", `{"user":{"name":"Alice","age":30,"metadata":{"id":1,"active":true}},"other":"data"}`, `{"user":{"name":"Alice","metadata":{"id":1}}}`},
		"47 through an array":      {"users.name", users, `{"users":[{"name":"Alice"},{"name":"Bob"}]}`},
		"47 whole parts":           {"users.name users.metadata", users, `{"users":[{"name":"Alice","metadata":{"id":1}},{"name":"Bob","metadata":{"id":2}}]}`},
		"47 a whole member":        {"user", `{"user":{"name":"Alice"},"other":"data"}`, `{"user":{"name":"Alice"}}`},
		"the longer one counts":    {"user user.name", `{"user":{"name":"Alice","age":30}}`, `{"user":{"name":"Alice"}}`},
		"scalars stay":             {"a.b", `{"a":7}`, `{"a":7}`},
		"scalars in arrays stay":   {"a.b", `{"a":[1,"x",{"b":2,"c":3},null]}`, `{"a":[1,"x",{"b":2},null]}`},
		"arrays in arrays":         {"a.b", `{"a":[[{"b":1,"c":2}],[]]}`, `{"a":[[{"b":1}],[]]}`},
		"nothing that is there":    {"x.y", `{"a":1}`, `{}`},
		"escaped names":            {`a"b`, `{"a\"b":1,"c":2}`, `{"a\"b":1}`},
		"space and large numbers":  {"a.b", " {\n\"a\" : { \"b\" : 12345678901234567890 , \"c\":1 } } ", `{"a":{"b":12345678901234567890}}`},
		"quotes and brackets":      {"b", `{"a":"}\"{[","b":"]\\"}`, `{"b":"]\\"}`},
		"empty containers":         {"a b", `{"a":{},"b":[],"c":{}}`, `{"a":{},"b":[]}`},
		"an empty path is a name":  {"", `{"a":1}`, `{"a":1}`},
		"the empty name and a dot": {".a", `{"":{"a":1,"b":2},"a":3}`, `{"":{"a":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseMask(strings.Fields(c.masks)).appendPruned(nil, []byte(strings.TrimSpace(c.input)))
			if string(got) != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// FuzzReadObject holds that whatever is JSON is read without harm, and that what is kept is what
// the decoder of the standard library sees.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"a","namespace":"b","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","o":"k"},"managedFields":[{}]},"spec":{"a":{"b":[{"c":1,"d":2}]}}}`,
		`{"metadata":null,"spec":[1,2.5e-7,"\u00e9\\\"",true,null,{}]}`, `[]`, `{"a":1,"a":{"b":2}}`, ` { } `, `"text"`, `{"metadata":{"annotations":[]}}`,
	} {
		f.Add([]byte(seed), "spec.a.b.c")
		f.Add([]byte(seed), "")
	}
	kind := hostcalls.Resource{APIVersion: "v1", Kind: `Po"d`}
	f.Fuzz(func(t *testing.T, text []byte, only string) {
		var keep mask
		if only != "" {
			keep = parseMask([]string{only})
		}
		_, _ = readPage(text, kind, keep) // must not panic
		o, err := readObject(text, kind, keep)
		if err != nil {
			return
		}
		var got, given map[string]any
		if err := json.Unmarshal(o.text, &got); err != nil {
			t.Fatalf("%s became %s: %v", text, o.text, err)
		}
		if json.Unmarshal(text, &given) != nil {
			t.Fatalf("%s was read as %s", text, o.text)
		}
		if got["apiVersion"] != kind.APIVersion || got["kind"] != kind.Kind {
			t.Errorf("kind of %s", o.text)
		}
		if keep != nil || hasRepeatedNames(text) {
			return
		}
		for name, value := range given {
			if !slices.Contains([]string{"apiVersion", "kind", "metadata"}, name) && !reflect.DeepEqual(got[name], value) {
				t.Errorf("%q: %v became %v", name, value, got[name])
			}
		}
	})
}

// hasRepeatedNames reports whether an object holds a name twice: readers differ in what that means,
// and API servers do not write it.
func hasRepeatedNames(text []byte) bool {
	seen := map[string]bool{}
	for name, value := range jsontext.Members(text) {
		if seen[name] || hasRepeatedNames(value) {
			return true
		}
		seen[name] = true
	}
	for element := range jsontext.Elements(text) {
		if hasRepeatedNames(element) {
			return true
		}
	}
	return false
}

// FuzzRequests holds that no payload of a guest does harm before anything is asked.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"api_version":"v1","kind":"Pod","namespace":"default","label_selector":"app=nginx","field_selector":null,"field_masks":["a.b"]}`))
	f.Add([]byte(`{"api_version":"v1","kind":"Service","name":"a","namespace":"b","disable_cache":false,"field_masks":null}`))
	f.Add([]byte(`{"subject_access_review":{"user":"u","groups":null,"resource_attributes":{"verb":"create","resource":"pods"}},"disable_cache":false}`))
	capabilities := Capabilities(nil)
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, capability := range capabilities {
			request, err := capability.Understand(payload)
			if err != nil {
				continue
			}
			if _, err := request.Perform(t.Context()); err != ErrNoCluster {
				t.Errorf("%s: %v", capability.Path, err)
			}
			if root, err := rootOf(request.Reads); err == nil && path.Clean(root) != root {
				t.Errorf("%q leads elsewhere", request.Reads.APIVersion)
			}
		}
	})
}

func TestBounded(t *testing.T) {
	for size, fits := range map[int]bool{0: true, 9: true, 10: true, 11: false, 5000: false} {
		body := &bounded{ReadCloser: io.NopCloser(strings.NewReader(strings.Repeat("a", size))), what: "answer", limit: 10, left: 10}
		text, err := io.ReadAll(body)
		if fits && (err != nil || len(text) != size) || !fits && (err == nil || err.Error() != "the API server's answer is larger than 10 bytes") {
			t.Errorf("of %d bytes %d were read, %v", size, len(text), err)
		}
	}
}
