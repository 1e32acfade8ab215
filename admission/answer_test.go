package admission_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"

	"policy-server/admission"
)

func TestRespond(t *testing.T) {
	request := func(extra string) string { return `{"request":{` + minimal + extra + `}}` }
	object := request(`,"object":{"hello":"world"}`)
	for name, c := range map[string]struct{ review, answer, want string }{
		"accepted": {
			object, `{"accepted":true}`,
			`{"uid":"u1","allowed":true,"auditAnnotations":null,"warnings":null}`,
		},
		"refused with everything": {
			object, `{"accepted":false,"message":"no <b>&","code":403,"audit_annotations":{"b":"2","a":"1"},"warnings":["w"],"unknown":1}`,
			`{"uid":"u1","allowed":false,"status":{"message":"no <b>&","code":403},"auditAnnotations":{"a":"1","b":"2"},"warnings":["w"]}`,
		},
		"a message is kept when accepted": {
			object, `{"accepted":true,"message":"hm","code":null,"warnings":null,"audit_annotations":null,"mutated_object":null}`,
			`{"uid":"u1","allowed":true,"status":{"message":"hm"},"auditAnnotations":null,"warnings":null}`,
		},
		"equal object is no mutation": {
			object, `{"accepted":true,"mutated_object":{ "hello" : "world" }}`,
			`{"uid":"u1","allowed":true,"auditAnnotations":null,"warnings":null}`,
		},
		"mutation": {
			object, `{"accepted":true,"mutated_object":{"hello":"world","ciao":"mondo"}}`,
			`{"uid":"u1","allowed":true,"patchType":"JSONPatch","patch":"` +
				base64.StdEncoding.EncodeToString([]byte(`[{"op":"add","path":"/ciao","value":"mondo"}]`)) + `","auditAnnotations":null,"warnings":null}`,
		},
		"mutation of nothing": {
			request(`,"object":null`), `{"accepted":true,"mutated_object":{},"warnings":["dropped"]}`,
			`{"uid":"u1","allowed":false,"status":{"message":"Incoming object is null, which happens only with DELETE operations, but the policy is attempting a mutation. This is not allowed"},"auditAnnotations":null,"warnings":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := admission.ParseReview([]byte(c.review))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := admission.ParseAnswer([]byte(c.answer))
			if err != nil {
				t.Fatal(err)
			}
			response, err := admission.Respond(t.Context(), r, answer, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(admission.AppendResponse(nil, &response)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestAppendReview(t *testing.T) {
	response := admission.Reject("u<1>", "a\"b\\c\b\f\n\r\t\x01\u007f\u2028é", 500)
	field, message := "spec.policies.a", "m"
	response.Status.Details = &admission.Details{Causes: []admission.Cause{{Message: &message, Field: &field}, {}}}
	response.AuditAnnotations = map[string]string{"k\"": "v", "a": ""}
	want := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"u<1>","allowed":false,` +
		`"status":{"message":"a\"b\\c\b\f\n\r\t\u0001` + "\u007f\u2028é" + `","details":{"causes":[{"reason":null,"message":"m","field":"spec.policies.a"},` +
		`{"reason":null,"message":null,"field":null}]},"code":500},"auditAnnotations":{"a":"","k\"":"v"},"warnings":null}}`
	got := admission.AppendReview(nil, &response)
	if string(got) != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	var review admissionv1.AdmissionReview // as the API server decodes it
	if err := json.Unmarshal(got, &review); err != nil {
		t.Fatal(err)
	}
	if review.Response.Result.Code != 500 || len(review.Response.Result.Details.Causes) != 2 {
		t.Errorf("decoded as %+v", review.Response)
	}
	if raw := string(admission.AppendRawReview(nil, &admission.Response{Allowed: true})); raw != `{"response":{"uid":"","allowed":true,"auditAnnotations":null,"warnings":null}}` {
		t.Errorf("raw: %s", raw)
	}
}

func TestParseAnswer_refuses(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"not JSON":            {`accepted`, "expected value at line 1 column 1"},
		"empty":               {``, "EOF while parsing a value at line 1 column 0"},
		"accepted missing":    {`{}`, "missing field `accepted` at line 1 column 2"},
		"accepted null":       {`{"accepted":null}`, "accepted: invalid type: null, expected a boolean"},
		"code too large":      {`{"accepted":true,"code":65536}`, "code: invalid value: `65536`, expected an integer from 0 to 65535"},
		"code negative":       {`{"accepted":true,"code":-1}`, "code: invalid value: `-1`"},
		"code with fraction":  {`{"accepted":true,"code":1.0}`, "code: invalid value: `1.0`"},
		"code a string":       {`{"accepted":true,"code":"1"}`, "code: invalid type: string \"1\", expected u16"},
		"message a number":    {`{"accepted":true,"message":1}`, "message: invalid type"},
		"warnings a string":   {`{"accepted":true,"warnings":"w"}`, "warnings: invalid type"},
		"annotation a number": {`{"accepted":true,"audit_annotations":{"a":1}}`, "audit_annotations.a: invalid type"},
		"two documents":       {`{"accepted":true}{}`, "trailing characters"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := admission.ParseAnswer([]byte(c.answer)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestParseSettingsAnswer(t *testing.T) {
	good, err := admission.ParseSettingsAnswer([]byte(` {"valid":false,"message":"bad \u00e9"} `))
	if err != nil || good.Valid || *good.Message != "bad é" {
		t.Errorf("%+v, %v", good, err)
	}
	for _, bad := range []string{``, `{}`, `{"valid":1}`, `{"valid":true,"message":1}`, `{"valid":true}x`} {
		if _, err := admission.ParseSettingsAnswer([]byte(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestDiff(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"same":                     {`{"a":1}`, ` { "a" : 1 } `, ``},
		"same text, other escapes": {`"\u0041"`, `"A"`, ``},
		"added in sorted order":    {`{}`, `{"b":1,"a":{"x": [1, 2]}}`, `[{"op":"add","path":"/a","value":{"x":[1,2]}},{"op":"add","path":"/b","value":1}]`},
		"removed after the rest":   {`{"a":1,"c":1,"b":2}`, `{"b":3}`, `[{"op":"replace","path":"/b","value":3},{"op":"remove","path":"/a"},{"op":"remove","path":"/c"}]`},
		"array grows":              {`[1]`, `[1,2,3]`, `[{"op":"add","path":"/1","value":2},{"op":"add","path":"/2","value":3}]`},
		"array shrinks":            {`[1,2,3,4]`, `[0,2]`, `[{"op":"replace","path":"/0","value":0},{"op":"remove","path":"/2"},{"op":"remove","path":"/2"}]`},
		"pointer escapes":          {`{"a/b":{"~":1}}`, `{"a/b":{"~":2}}`, `[{"op":"replace","path":"/a~1b/~0","value":2}]`},
		"other type":               {`{"a":[]}`, `{"a":{}}`, `[{"op":"replace","path":"/a","value":{}}]`},
		"root":                     {`1`, `2`, `[{"op":"replace","path":"","value":2}]`},
		"integer is not float":     {`[1,1.0,100,-0,0]`, `[1.0,1.00,1e2,0,-0.0]`, `[{"op":"replace","path":"/0","value":1.0},{"op":"replace","path":"/2","value":1e2},{"op":"replace","path":"/3","value":0},{"op":"replace","path":"/4","value":-0.0}]`},
		"large integers are exact": {`[18446744073709551615,9007199254740993]`, `[18446744073709551614,9007199254740992]`, `[{"op":"replace","path":"/0","value":18446744073709551614},{"op":"replace","path":"/1","value":9007199254740992}]`},
		"last duplicate counts":    {`{"a":1}`, `{"a":2,"a":1}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := admission.Diff(t.Context(), []byte(c.before), []byte(c.after), nil)
			if err != nil || string(got) != c.want {
				t.Errorf("\n got %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

// TestDiff_bounds holds that a patch is never much longer than what it leads to, whatever the two
// documents are: the first two made one of gigabytes, and killed the server.
func TestDiff_bounds(t *testing.T) {
	key := strings.Repeat("k", 100_000)
	ones := strings.Repeat("1,", 99_999) + "1"
	twos := strings.Repeat("2,", 99_999) + "2"
	var wide strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&wide, `,"%d":1`, i)
	}
	changed := strings.ReplaceAll(wide.String(), ":1", ":2")
	for name, c := range map[string]struct{ before, after string }{
		"a long key, elements removed": {`{"` + key + `":[` + ones + `]}`, `{"` + key + `":[]}`},
		"elements added":               {`{"` + key + `":[]}`, `{"` + key + `":[` + ones + `]}`},
		"elements changed":             {`{"` + key + `":[` + ones + `]}`, `{"` + key + `":[` + twos + `]}`},
		"many members below":           {`{"` + key + `":{"":0` + wide.String() + `}}`, `{"` + key + `":{"":0` + changed + `}}`},
		"deep": {
			strings.Repeat(`{"`+key[:1000]+`":`, 100) + `[` + ones + `]` + strings.Repeat("}", 100),
			strings.Repeat(`{"`+key[:1000]+`":`, 100) + `[` + twos + `]` + strings.Repeat("}", 100),
		},
	} {
		patch, err := admission.Diff(t.Context(), []byte(c.before), []byte(c.after), nil)
		if most := 4*len(c.after) + 4096; err != nil || len(patch) > most || len(patch) == 0 {
			t.Errorf("%s: a patch of %d bytes, at most %d are in order; %v", name, len(patch), most, err)
			continue
		}
		decoded, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		patched, err := decoded.Apply([]byte(c.before))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if rest, err := admission.Diff(t.Context(), patched, []byte(c.after), nil); rest != nil || err != nil {
			t.Errorf("%s: the patch leads elsewhere: %v", name, err)
		}
	}
}

// countedTurn ends what ticks for the third time.
type countedTurn struct{ ticks int }

func (c *countedTurn) Tick(context.Context) error {
	if c.ticks++; c.ticks == 3 {
		return context.Canceled
	}
	return nil
}

// TestDiff_ends holds that a comparison lets others go first, ends with its context, and refuses
// what it has no memory for.
func TestDiff_ends(t *testing.T) {
	before := []byte("[" + strings.Repeat("1,", 600_000) + "1]")
	after := []byte("[" + strings.Repeat("2,", 600_000) + "1]")
	turn := new(countedTurn)
	if _, err := admission.Diff(t.Context(), before, after, turn); !errors.Is(err, context.Canceled) || turn.ticks != 3 {
		t.Errorf("after %d ticks: %v", turn.ticks, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := admission.Diff(over, before, after, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
	var tooLarge *admission.TooLargeError
	if _, err := admission.Diff(t.Context(), before, after, nil); !errors.As(err, &tooLarge) {
		t.Errorf("600,000 elements: %v", err)
	}
}

// FuzzDiff holds that a patch, applied by another implementation, turns one document into the
// other, and that whether there is one can be told without.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":null}],"c/d":"~"}`), []byte(`{"a":[2,{"b":1}],"e":{}}`))
	f.Add([]byte(`{"x":{"y":[[],[1]]}}`), []byte(`{"x":{"y":[[1]]}}`))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		patch, err := admission.Diff(t.Context(), before, after, nil)
		if differ, differErr := admission.Differ(t.Context(), before, after, nil); differ != (patch != nil) || err == nil && differErr != nil {
			t.Fatalf("patch %s, %v, and they differ: %t, %v", patch, err, differ, differErr)
		}
		if err != nil || patch == nil {
			return
		}
		if b, a := firstByte(before), firstByte(after); b != a || b != '{' || bytes.Contains(patch, []byte(`//`)) || bytes.Contains(patch, []byte(`/"`)) {
			return // the library patches objects without empty names
		}
		decoded, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			t.Fatalf("patch %s: %v", patch, err)
		}
		patched, err := decoded.Apply(before)
		if err != nil {
			t.Fatalf("patch %s does not apply to %s: %v", patch, before, err)
		}
		if rest, err := admission.Diff(t.Context(), patched, after, nil); err != nil || rest != nil {
			t.Fatalf("%s patched with %s is %s, not %s: %s, %v", before, patch, patched, after, rest, err)
		}
	})
}

func firstByte(document []byte) byte {
	return strings.TrimLeft(string(document), " \t\r\n")[0]
}

// FuzzParseAnswer holds that whatever a guest answers is refused or becomes a response that is
// JSON.
func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte(`{"accepted":true,"message":"m","code":1,"mutated_object":{"a":1},"audit_annotations":{"a":"b"},"warnings":["w"]}`))
	f.Add([]byte(`{"valid":false,"message":"m"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = admission.ParseSettingsAnswer(data)
		answer, err := admission.ParseAnswer(data)
		if err != nil {
			return
		}
		r, err := admission.ParseRaw([]byte(`{"uid":"u"}`))
		if err != nil {
			t.Fatal(err)
		}
		response, err := admission.Respond(t.Context(), r, answer, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		var review admissionv1.AdmissionReview
		if err := json.Unmarshal(admission.AppendReview(nil, &response), &review); err != nil {
			t.Fatal(err)
		}
	})
}
