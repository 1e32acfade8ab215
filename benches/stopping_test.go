package benches

import (
	"context"
	"errors"
	"fmt"
	"math"
	goruntime "runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"policy-server/internal/testing/guests"
	"policy-server/runtime"
)

// deadline is what the guests below are stopped at.
const deadline = 500 * time.Millisecond

// processors gives Go as many processors as the server does, for that many evaluations at once,
// until the benchmark ends.
func processors(b *testing.B, evaluations int) {
	before := goruntime.GOMAXPROCS(0)
	goruntime.GOMAXPROCS(max(before, evaluations+1))
	b.Cleanup(func() { goruntime.GOMAXPROCS(before) })
}

// openNamed returns a guest of runtime/testdata that is reset after each call.
func openNamed(b *testing.B, name string) *runtime.Guest {
	g, err := compile(b, guests.Bare(b, name), runtime.WaPC).NewGuest(runtime.GuestConfig{})
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// BenchmarkStop is how long after their deadline guests return that would never end, the latest of
// as many as run at once.
func BenchmarkStop(b *testing.B) {
	waits := func(ctx context.Context, _, _ string, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, guest := range []string{"loops_forever", "recurses_as_tree", "recurses_and_loops", "fills_memory_forever", "sleeps",
		"unknown_host_call"} {
		for _, evaluations := range []int{1, 2, 8} {
			b.Run(fmt.Sprintf("guest=%s/evaluations=%d", guest, evaluations), func(b *testing.B) {
				processors(b, evaluations)
				g := openNamed(b, guest)
				var late []time.Duration
				for b.Loop() {
					late = append(late, stopAll(b, g, evaluations, waits))
				}
				b.ReportMetric(milliseconds(slices.Max(late)), "ms-late")
			})
		}
	}
}

// stopAll runs the guest so many times at once and returns by how much the last was late.
func stopAll(b *testing.B, g *runtime.Guest, evaluations int, host runtime.HostCall) time.Duration {
	late := make([]time.Duration, evaluations)
	var group sync.WaitGroup
	for i := range late {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(b.Context(), deadline)
			defer cancel()
			ends, _ := ctx.Deadline()
			_, err := g.Call(ctx, runtime.Question{Operation: runtime.Validate}, host)
			late[i] = time.Since(ends)
			if !errors.Is(err, context.DeadlineExceeded) {
				b.Errorf("got %v, want the deadline's error", err)
			}
		})
	}
	group.Wait()
	return slices.Max(late)
}

// BenchmarkPause is what collections cost that are forced while guests run: the longest time that
// one stopped all that is Go, most of which is waiting for guests to come back to it, and the
// median of whole collections.
func BenchmarkPause(b *testing.B) {
	const evaluations = 4
	for _, guest := range []string{"loops_forever", "recurses_as_tree", "fills_memory_forever"} {
		b.Run(fmt.Sprintf("guest=%s/evaluations=%d", guest, evaluations), func(b *testing.B) {
			processors(b, evaluations)
			g := openNamed(b, guest)
			ctx, cancel := context.WithCancel(b.Context())
			var group sync.WaitGroup
			for range evaluations {
				group.Go(func() { _, _ = g.Call(ctx, runtime.Question{Operation: runtime.Validate}, nil) })
			}
			time.Sleep(50 * time.Millisecond) // until they run
			before, collections := pauses(b), []time.Duration(nil)
			for b.Loop() {
				began := time.Now()
				goruntime.GC()
				collections = append(collections, time.Since(began))
				time.Sleep(time.Millisecond)
			}
			after := pauses(b)
			cancel()
			group.Wait()
			slices.Sort(collections)
			b.ReportMetric(longest(before, after)*1e3, "ms-stopped")
			b.ReportMetric(milliseconds(collections[len(collections)/2]), "ms-collection")
		})
	}
}

// pauses returns how often the collector has stopped everything, by for how long.
func pauses(b *testing.B) *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		b.Fatalf("%s is a %v", sample[0].Name, sample[0].Value.Kind())
	}
	return sample[0].Value.Float64Histogram()
}

// longest returns the upper bound, in seconds, of the longest pauses that are in after and not in
// before.
func longest(before, after *metrics.Float64Histogram) float64 {
	for i := len(after.Counts) - 1; i >= 0; i-- {
		if after.Counts[i] > before.Counts[i] && !math.IsInf(after.Buckets[i+1], 1) {
			return after.Buckets[i+1]
		}
	}
	return 0
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
