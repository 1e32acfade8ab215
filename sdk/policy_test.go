package sdk_test

import (
	"errors"
	"strings"
	"testing"

	"policy-server/sdk"
	"policy-server/sdk/internal/wapc"
)

// call plays the host: it hands the policy one call, and refuses its host calls.
func call(p sdk.Policy, operation, payload string) (answer, failure string) {
	return callWith(noHost, p, operation, payload)
}

func callWith(host wapc.Host, p sdk.Policy, operation, payload string) (answer, failure string) {
	sdk.Register(p)
	text, err := wapc.Call(host, operation, payload)
	if err != nil {
		return "", err.Error()
	}
	return string(text), ""
}

func noHost(_, _, _ string) (string, error) { return "", errors.New("nobody is there") }

// answering is a policy that answers everything with r.
func answering(r sdk.Response) sdk.Policy {
	return sdk.Policy{Validate: func(sdk.Request) sdk.Response { return r }}
}

func TestResponses(t *testing.T) {
	warned := sdk.Accept().WithWarnings("one")
	for name, c := range map[string]struct {
		response sdk.Response
		answer   string
		failure  string
	}{
		"zero":             {response: sdk.Response{}, answer: `{"accepted":false}`},
		"accept":           {response: sdk.Accept(), answer: `{"accepted":true}`},
		"reject":           {response: sdk.Reject(`no "x"`), answer: `{"accepted":false,"message":"no \"x\""}`},
		"code":             {response: sdk.Reject("no").WithCode(403), answer: `{"accepted":false,"message":"no","code":403}`},
		"accept, message":  {response: sdk.Accept().WithMessage("fine"), answer: `{"accepted":true,"message":"fine"}`},
		"mutate":           {response: sdk.Mutate(sdk.JSON(` {"a": 1} `)), answer: `{"accepted":true,"mutated_object":{"a": 1}}`},
		"mutate, missing":  {response: sdk.Mutate(sdk.JSON(`{`)), failure: "policy mutates to a missing object"},
		"fail":             {response: sdk.Fail(errors.New("no registry")), failure: "no registry"},
		"warnings":         {response: warned.WithWarnings("two", "three"), answer: `{"accepted":true,"warnings":["one","two","three"]}`},
		"copy of warnings": {response: warned, answer: `{"accepted":true,"warnings":["one"]}`},
		"annotations": {
			response: sdk.Accept().WithAuditAnnotation("a", "1").WithAuditAnnotation("b", "2").WithAuditAnnotation("a", "3"),
			answer:   `{"accepted":true,"audit_annotations":{"b":"2","a":"3"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer, failure := call(answering(c.response), "validate", `{"request":{},"settings":{}}`)
			if answer != c.answer || failure != c.failure {
				t.Errorf("answer %s, failure %q; expected %s, %q", answer, failure, c.answer, c.failure)
			}
		})
	}
}

func TestOperations(t *testing.T) {
	picky := sdk.Policy{CheckSettings: func(settings sdk.Value) error {
		if !settings.Get("limit").Exists() {
			return errors.New(`"limit": required`)
		}
		return nil
	}}
	for name, c := range map[string]struct {
		policy             sdk.Policy
		operation, payload string
		answer, failure    string
	}{
		"protocol version":    {picky, "protocol_version", "", `"v1"`, ""},
		"settings accepted":   {picky, "validate_settings", ` {"limit":1}`, `{"valid":true}`, ""},
		"settings refused":    {picky, "validate_settings", `{}`, `{"valid":false,"message":"\"limit\": required"}`, ""},
		"settings unchecked":  {sdk.Policy{}, "validate_settings", `{"x":1}`, `{"valid":true}`, ""},
		"unknown operation":   {picky, "mutate", "", "", `unknown operation "mutate"; known: validate, validate_settings, protocol_version`},
		"nothing to validate": {picky, "validate", `{"request":{},"settings":{}}`, "", "policy has no Validate function"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, failure := call(c.policy, c.operation, c.payload)
			if answer != c.answer || failure != c.failure {
				t.Errorf("answer %s, failure %q; expected %s, %q", answer, failure, c.answer, c.failure)
			}
		})
	}
}

func TestPayloadsThatAreNone(t *testing.T) {
	for _, payload := range []string{``, `null`, `[]`, `{}`, `{"request":{}}`, `{"settings":{}}`, `{"request":{},"settings":[]}`,
		`{"request":{"a":,"settings":{}}`, `{"request":{},"settings":{}`, `{"request"`, `{"request":}`} {
		t.Run(payload, func(t *testing.T) {
			answer, failure := call(answering(sdk.Accept()), "validate", payload)
			if !strings.HasPrefix(failure, "payload is not ") {
				t.Errorf("answer %s, failure %q", answer, failure)
			}
		})
	}
}

func TestPanics(t *testing.T) {
	var (
		empty  []int
		unmade map[string]int
		null   *int
	)
	for name, c := range map[string]struct {
		panics  func()
		failure string
	}{
		"text":       {func() { panic("no such case") }, "panic: no such case"},
		"error":      {func() { panic(errors.New("broken")) }, "panic: broken"},
		"kind":       {func() { panic(sdk.Object) }, "panic: object"},
		"number":     {func() { panic(7) }, "panic: 7"},
		"struct":     {func() { panic(struct{}{}) }, "panic: a value that is neither an error nor a text"},
		"index":      {func() { _ = empty[0] }, "panic: runtime error: index out of range [0] with length 0"},
		"nil map":    {func() { unmade["a"] = 1 }, "panic: assignment to entry in nil map"},
		"nil reader": {func() { _ = *null }, "panic: runtime error: invalid memory address or nil pointer dereference"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sdk.Policy{
				Validate:      func(sdk.Request) sdk.Response { c.panics(); return sdk.Accept() },
				CheckSettings: func(sdk.Value) error { c.panics(); return nil },
			}
			for operation, payload := range map[string]string{"validate": `{"request":{},"settings":{}}`, "validate_settings": `{}`} {
				answer, failure := call(p, operation, payload)
				if answer != "" || failure != c.failure {
					t.Errorf("%s: answer %s, failure %q, expected %q", operation, answer, failure, c.failure)
				}
			}
		})
	}
}

func TestRequest(t *testing.T) {
	const payload = `{"settings":{"limit":3},"request":{"uid":"u1","kind":{"group":"apps","version":"v1","kind":"Deployment"},
 "resource":{"group":"apps","version":"v1","resource":"deployments"},"subResource":"scale",
 "requestKind":{"group":"apps","version":"v1beta1","kind":"Deployment"},
 "requestResource":{"group":"apps","version":"v1beta1","resource":"deployments"},"requestSubResource":"scale",
 "name":"web","namespace":"shop","operation":"UPDATE","userInfo":{"username":"ann","groups":["dev","system:masters"]},
 "object":{"new":true},"oldObject":{"new":false},"dryRun":true,"options":{"kind":"UpdateOptions"}}}`
	checked := false
	validate := func(r sdk.Request) sdk.Response {
		checked = true
		for name, pair := range map[string][2]any{
			"UID":                {r.UID(), "u1"},
			"Operation":          {r.Operation(), sdk.OperationUpdate},
			"Name":               {r.Name(), "web"},
			"Namespace":          {r.Namespace(), "shop"},
			"DryRun":             {r.DryRun(), true},
			"Kind":               {r.Kind(), sdk.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}},
			"RequestKind":        {r.RequestKind(), sdk.GroupVersionKind{Group: "apps", Version: "v1beta1", Kind: "Deployment"}},
			"Resource":           {r.Resource(), sdk.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
			"RequestResource":    {r.RequestResource(), sdk.GroupVersionResource{Group: "apps", Version: "v1beta1", Resource: "deployments"}},
			"SubResource":        {r.SubResource(), "scale"},
			"RequestSubResource": {r.RequestSubResource(), "scale"},
			"UserName":           {r.UserName(), "ann"},
			"InGroup":            {r.InGroup("system:masters"), true},
			"InGroup, other":     {r.InGroup("system"), false},
			"UserInfo":           {r.UserInfo().Len(), 2},
			"Object":             {r.Object().Raw(), `{"new":true}`},
			"OldObject":          {r.OldObject().Raw(), `{"new":false}`},
			"Options":            {r.Options().Raw(), `{"kind":"UpdateOptions"}`},
			"Settings":           {r.Settings().Raw(), `{"limit":3}`},
			"Raw":                {r.Raw().Get("uid").Raw(), `"u1"`},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s is %v, expected %v", name, pair[0], pair[1])
			}
		}
		return sdk.Accept()
	}
	if _, failure := call(sdk.Policy{Validate: validate}, "validate", payload); failure != "" || !checked {
		t.Fatalf("failure %q, checked %v", failure, checked)
	}
}

func TestRequestThatIsNoObject(t *testing.T) {
	for _, raw := range []string{`[1,2]`, `"text"`, `null`, `7`} {
		t.Run(raw, func(t *testing.T) {
			seen := ""
			validate := func(r sdk.Request) sdk.Response {
				seen = r.Raw().Raw()
				if r.UID() != "" || r.Object().Exists() || r.Kind() != (sdk.GroupVersionKind{}) || r.InGroup("") {
					t.Error("the request has members")
				}
				return sdk.Accept()
			}
			_, failure := call(sdk.Policy{Validate: validate}, "validate", `{"request": `+raw+` ,"settings":{}}`)
			if failure != "" || seen != raw {
				t.Errorf("failure %q, the policy saw %q", failure, seen)
			}
		})
	}
}
