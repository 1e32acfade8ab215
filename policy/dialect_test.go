package policy_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"policy-server/internal/testing/guests"
	"policy-server/policy"
	"policy-server/runtime"
)

// TestDialects holds the words in which the guests of each protocol fail where the protocols
// differ.
func TestDialects(t *testing.T) {
	const (
		noAccepted = "missing field `accepted` at line 1 column 178"
		noBool     = "valid: invalid type: null, expected a boolean at line 1 column 13"
	)
	for _, tc := range []struct {
		guest    string
		settings string // what it answers when its settings are checked
		want     string
	}{
		{"keeps_request", `{"valid":true}`, "internal server error: invalid response from policy: " + noAccepted},
		{"wasi_keeps_request", `{"valid":true}`, "internal server error: Cannot deserialize policy validation response: " + noAccepted},
		{"accepts", `{"valid":null}`, "Policy settings are invalid: error: InvalidResponseWithError(" + noBool + ")"},
		{"wasi_accepts", `{"valid":null}`, "Policy settings are invalid: Cannot deserialize settings validation response: " + noBool},
	} {
		t.Run(tc.guest+" "+tc.settings, func(t *testing.T) {
			module := bytes.Replace(guests.Module(t, tc.guest), []byte(`{"valid":true}`), []byte(tc.settings), 1)
			loader, _ := newLoader(t)
			evaluator := serve(t, loader, policy.Definition{ID: "p", Module: guests.File(t, module)})
			if got := answer(t, evaluator, policy.FromWebhook, ""); got != refused(tc.want, 500) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// TestWarmUp holds that policies for each type of request are warmed up with two of them: a guest
// that traps in each says so twice.
func TestWarmUp(t *testing.T) {
	for _, kind := range []string{"kubernetes", "raw"} {
		t.Run(kind, func(t *testing.T) {
			loader, logs := newLoader(t)
			metadata := fmt.Sprintf(`{"protocolVersion":"v1","rules":[],"mutating":false,"policyType":%q}`, kind)
			serve(t, loader, policy.Definition{ID: "p", Module: guests.File(t, guests.Annotated(t, "traps", metadata))})
			var steps []any
			for _, entry := range logs.FilterMessage("policy not warmed up").All() {
				steps = append(steps, entry.ContextMap()["operation"])
			}
			if want := []any{"validate", "validate"}; !slices.Equal(steps, want) {
				t.Errorf("got %v, want %v", steps, want)
			}
		})
	}
}

// TestWarmUp_shared holds that policies of one module with the same settings are warmed up once,
// that others are by themselves, and that each answers.
func TestWarmUp_shared(t *testing.T) {
	loader, _ := newLoader(t)
	module := guests.File(t, guests.Module(t, "accepts"))
	live := new(policy.Live)
	if err := live.Swap(t.Context(), loader.Load(t.Context(), []policy.Definition{
		{ID: "a", Module: module}, {ID: "b", Module: module}, {ID: "c", Module: module},
		{ID: "other settings", Module: module, Settings: []byte(`{"a":1}`)},
		{ID: "other memory", Module: module, MemoryLimit: 1 << 20},
		{ID: "fresh", Module: module, Sandbox: runtime.ModeFresh},
	}, nil)); err != nil {
		t.Fatal(err)
	}
	warmedUp := 0
	for _, status := range live.Statuses() {
		if status.Instances.Started > 0 {
			warmedUp++
		}
	}
	if warmedUp != 3 { // of a, b and c one
		t.Errorf("%d policies were warmed up", warmedUp)
	}
	evaluator := policy.NewEvaluator(live, policy.EvaluatorConfig{})
	for _, status := range live.Statuses() {
		response, err := evaluator.Evaluate(t.Context(), status.ID, request(t, ""), policy.FromWebhook)
		if err != nil || !response.Allowed {
			t.Errorf("%s: %+v, %v", status.ID, response, err)
		}
	}
	if err := live.Retire(t.Context()); err != nil {
		t.Error(err)
	}
}
