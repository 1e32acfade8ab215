package benches

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/hostcalls"
	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
	"policy-server/policy"
	"policy-server/runtime"
)

// neighbours are policies that misbehave, each in its way, and one that is only asked often.
func neighbours(tb testing.TB) map[string]policy.Definition {
	grants, err := hostcalls.ParseGrants([]string{"kubernetes/*"})
	if err != nil {
		tb.Fatal(err)
	}
	definitions := map[string]policy.Definition{}
	for name, guest := range map[string]string{
		"loops": "loops_forever", "recurses": "recurses_and_loops", "fills": "fills_memory_forever", "sleeps": "sleeps", "waits": "reads_namespace",
	} {
		limit := 2 * time.Second
		definitions[name] = policy.Definition{
			ID: policy.ID(name), Module: guests.File(tb, guests.Module(tb, guest)), Timeout: &limit,
			Grants: grants, Resources: []policy.Resource{{APIVersion: "v1", Kind: "Namespace"}},
		}
	}
	definitions["popular"] = policy.Definition{ID: "popular", Module: guests.File(tb, examples.Build(tb, "pod-privileged"))}
	return definitions
}

// neverAnswers is a cluster that takes every question and answers none.
var neverAnswers = hostcalls.Capability{Path: hostcalls.KubernetesGetResource, Understand: func([]byte) (hostcalls.Request, error) {
	return hostcalls.Request{Reads: hostcalls.Resource{APIVersion: "v1", Kind: "Namespace"}, Perform: func(ctx context.Context) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, nil
}}

// BenchmarkNeighbours is what a quick policy, asked by two clients, gets beside others: requests a
// second and the 99th percentile of what one takes.
func BenchmarkNeighbours(b *testing.B) {
	loader := newLoader(b, runtime.Config{})
	loader.Calls = hostcalls.NewDispatcher([]hostcalls.Capability{neverAnswers}, zap.NewNop())
	all := neighbours(b)
	definitions := []policy.Definition{{ID: "quick", Module: guests.File(b, examples.Build(b, "pod-privileged"))}}
	for _, definition := range all {
		definitions = append(definitions, definition)
	}
	live := new(policy.Live)
	set := loader.Load(b.Context(), definitions, nil)
	if err := set.Err(); err != nil {
		b.Fatal(err)
	}
	if err := live.Swap(b.Context(), set); err != nil {
		b.Fatal(err)
	}
	evaluator := policy.NewEvaluator(live, policy.EvaluatorConfig{})
	b.Run("beside=nobody", func(b *testing.B) { askBeside(b, evaluator, "", 0) })
	for _, kind := range []string{"loops", "recurses", "fills", "sleeps", "waits", "popular"} {
		for _, clients := range []int{1, 2, 8, 64} {
			b.Run(fmt.Sprintf("beside=%s/clients=%d", kind, clients), func(b *testing.B) { askBeside(b, evaluator, policy.ID(kind), clients) })
		}
	}
}

func askBeside(b *testing.B, evaluator *policy.Evaluator, neighbour policy.ID, clients int) {
	request, err := admission.ParseReview(review(b, 2))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	var others sync.WaitGroup
	for range clients {
		others.Go(func() {
			for ctx.Err() == nil {
				_, _ = evaluator.Evaluate(ctx, neighbour, request, policy.FromWebhook)
			}
		})
	}
	if clients > 0 {
		time.Sleep(50 * time.Millisecond)
	}
	const asking = 2
	var took [asking][]time.Duration
	var refused [asking]int
	var group sync.WaitGroup
	began := time.Now()
	for client := range asking {
		group.Go(func() {
			for range b.N {
				asked := time.Now()
				within, cancel := context.WithTimeout(ctx, 10*time.Second)
				if _, err := evaluator.Evaluate(within, "quick", request, policy.FromWebhook); err != nil {
					refused[client]++
				}
				cancel()
				took[client] = append(took[client], time.Since(asked))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began)
	stop()
	others.Wait()
	sorted := slices.Sorted(slices.Values(slices.Concat(took[:]...)))
	b.ReportMetric(float64(len(sorted))/elapsed.Seconds(), "requests/s")
	b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(refused[0]+refused[1]), "refused")
}
