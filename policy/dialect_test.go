package policy_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"policy-server/internal/testing/guests"
	"policy-server/policy"
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
