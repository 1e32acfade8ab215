package policy_test

import (
	"context"
	"testing"

	"policy-server/internal/testing/guests"
	"policy-server/policy"
)

// TestObserve holds that each evaluation is told of once, with the policy's own verdict and with
// what the client was told.
func TestObserve(t *testing.T) {
	loader, _ := newLoader(t)
	module := func(guest string) string { return guests.File(t, guests.Module(t, guest)) }
	live := new(policy.Live)
	if err := live.Swap(t.Context(), loader.Load(t.Context(), []policy.Definition{
		{ID: "accepts", Module: module("accepts")},
		{ID: "monitors", Module: module("rejects"), Mode: policy.Monitor},
		{ID: "mutates", Module: module("mutates")},
		{ID: "asks", Module: module("unknown_host_call")},
		{ID: "failed", Module: "file:///none.wasm"},
	}, nil)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := live.Retire(context.Background()); err != nil {
			t.Error(err)
		}
	})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx       context.Context
		id        policy.ID
		origin    policy.Origin
		extra     string
		mode      policy.Mode
		verdict   bool // accepted by the policy itself
		told      bool // allowed, as the client was told
		mutated   bool
		patched   bool // the verdict says how
		failed    bool // the policy could not be loaded
		noVerdict bool
		hostCalls int
		ran       bool
	}{
		"accepted":                   {id: "accepts", mode: policy.Protect, verdict: true, told: true, ran: true},
		"monitored":                  {id: "monitors", mode: policy.Monitor, told: true, ran: true},
		"monitored, audit":           {id: "monitors", origin: policy.FromAudit, mode: policy.Monitor, ran: true},
		"mutates, which it must not": {id: "mutates", extra: `,"object":{"a":1}`, mode: policy.Protect, verdict: true, mutated: true, ran: true},
		"mutates, audit":             {id: "mutates", extra: `,"object":{"a":1}`, origin: policy.FromAudit, mode: policy.Protect, verdict: true, told: true, mutated: true, patched: true, ran: true},
		"a host call":                {id: "asks", mode: policy.Protect, hostCalls: 1, ran: true},
		"never loaded":               {id: "failed", failed: true},
		"always accepted":            {id: "monitors", extra: `,"namespace":"trusted"`, mode: policy.Monitor, verdict: true, told: true},
		"the client has left":        {ctx: over, id: "accepts", mode: policy.Protect, noVerdict: true},
	} {
		t.Run(name, func(t *testing.T) {
			var events []policy.Event
			evaluator := policy.NewEvaluator(live, policy.EvaluatorConfig{
				AlwaysAccept: "trusted", Observe: func(e *policy.Event) { events = append(events, *e) },
			})
			ctx := t.Context()
			if c.ctx != nil {
				ctx = c.ctx
			}
			asked := request(t, c.extra)
			_, err := evaluator.Evaluate(ctx, c.id, asked, c.origin)
			if len(events) != 1 {
				t.Fatalf("%d events", len(events))
			}
			e := events[0]
			if e.Policy != c.id || e.Origin != c.origin || e.Request != asked || e.Mode != c.mode || e.Err != err || (err != nil) != c.noVerdict || (e.Failure != nil) != c.failed {
				t.Errorf("got %+v, error %v", e, err)
			}
			if e.Verdict.Allowed != c.verdict || e.Response.Allowed != c.told || e.Verdict.Mutates != c.mutated || (e.Verdict.Patch != nil) != c.patched || e.HostCalls != c.hostCalls || (e.Ran > 0) != c.ran && !c.noVerdict {
				t.Errorf("verdict %+v, response %+v, %d host calls, ran %s", e.Verdict, e.Response, e.HostCalls, e.Ran)
			}
		})
	}
	if _, err := policy.NewEvaluator(live, policy.EvaluatorConfig{Observe: func(e *policy.Event) { t.Errorf("told of %+v", e) }}).
		Evaluate(t.Context(), "nobody", request(t, ""), policy.FromWebhook); err == nil {
		t.Error("an unknown policy answered")
	}
}
