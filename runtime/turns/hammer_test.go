package turns_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"policy-server/runtime/turns"
)

// TestSimulation has flows that are quick, endless, waiting, greedy and popular at once, with seeds
// of their own, and holds what must hold at each moment and in the end.
func TestSimulation(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			const places, begun, budget = 2, 40, 1000
			s := turns.New(turns.Config{Places: places, Begun: begun, BegunPerFlow: 12, Queued: 60, QueuedPerFlow: 20, Memory: budget, Waiting: 4})
			ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
			defer stop()
			var group sync.WaitGroup
			var asked, answered atomic.Int64
			flow := func(name string, callers int, class turns.Class, do func(*rand.Rand, *turns.Evaluation, context.Context)) *turns.Flow {
				f := s.Flow(name, 1)
				for caller := range callers {
					random := rand.New(rand.NewPCG(seed, uint64(caller)))
					group.Go(func() {
						for ctx.Err() == nil {
							asked.Add(1)
							limit := time.Duration(1+random.IntN(200)) * time.Millisecond
							own, cancel := context.WithTimeout(ctx, limit)
							e, err := f.Begin(own, turns.Request{Class: class, Cost: int64(random.IntN(30)), AnswerBy: time.Now().Add(limit)})
							if err == nil {
								if e.Acquire(own) == nil {
									do(random, e, own)
								}
								e.End()
							}
							answered.Add(1)
							cancel()
							time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
						}
					})
				}
				return f
			}
			quick := flow("quick", 3, turns.Webhook, func(random *rand.Rand, e *turns.Evaluation, ctx context.Context) {
				_ = compute(ctx, e, time.Duration(random.IntN(300))*time.Microsecond)
			})
			flow("endless", 6, turns.Webhook, func(_ *rand.Rand, e *turns.Evaluation, ctx context.Context) {
				_ = compute(ctx, e, time.Hour)
			})
			flow("waits", 20, turns.Webhook, func(random *rand.Rand, e *turns.Evaluation, ctx context.Context) {
				for range 3 {
					if e.Park(ctx) != nil {
						return
					}
					select {
					case <-time.After(time.Duration(random.IntN(100)) * time.Millisecond):
					case <-ctx.Done():
					}
					if e.Unpark(ctx) != nil || compute(ctx, e, tick) != nil {
						return
					}
				}
			})
			flow("greedy", 6, turns.Webhook, func(random *rand.Rand, e *turns.Evaluation, ctx context.Context) {
				for range 10 {
					e.Grow(int64(random.IntN(50)))
					if compute(ctx, e, tick) != nil {
						return
					}
				}
			})
			flow("popular", 100, turns.Webhook, func(_ *rand.Rand, e *turns.Evaluation, ctx context.Context) {
				_ = compute(ctx, e, 2*tick)
			})
			flow("audit", 10, turns.Audit, func(_ *rand.Rand, e *turns.Evaluation, ctx context.Context) {
				_ = compute(ctx, e, 5*time.Millisecond)
			})
			for ctx.Err() == nil {
				got := s.Stats()
				if got.Running > places || got.Begun > begun || got.Memory > budget || got.Memory < 0 || got.Queued > 60 || got.Hungry > 0 && got.Running < places {
					t.Fatalf("seed %d: %+v", seed, got)
				}
				time.Sleep(1313 * time.Microsecond)
			}
			group.Wait()
			if asked.Load() != answered.Load() {
				t.Errorf("seed %d: %d asked, %d answered", seed, asked.Load(), answered.Load())
			}
			if got := quick.Stats(); got.EverBegun < 2000 || got.MaxWaited > 5*time.Millisecond || got.Refused[turns.QueueFull] > 0 {
				t.Errorf("seed %d: the quick flow: %+v", seed, got)
			}
			idle(t, s)
		})
	}
}

// TestScheduler_hammer has real goroutines do at random what may be done.
func TestScheduler_hammer(t *testing.T) {
	s := turns.New(turns.Config{Places: 2, Begun: 20, BegunPerFlow: 6, QueuedPerFlow: 10, Memory: 1000, Waiting: 2, Turn: 10 * time.Microsecond})
	var running atomic.Int32
	var group sync.WaitGroup
	for flow := range 5 {
		f := s.Flow("f", float64(1+flow))
		for caller := range 8 {
			random := rand.New(rand.NewPCG(uint64(flow), uint64(caller)))
			group.Go(func() {
				for range 300 {
					hammerOnce(t, f, random, &running)
				}
			})
		}
	}
	group.Wait()
	idle(t, s)
}

func hammerOnce(t *testing.T, f *turns.Flow, random *rand.Rand, running *atomic.Int32) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(3000))*time.Microsecond)
	defer cancel()
	deadline, _ := ctx.Deadline()
	e, err := f.Begin(ctx, turns.Request{Class: turns.Class(random.IntN(2)), Cost: int64(random.IntN(100)), AnswerBy: deadline})
	var refused *turns.RefusedError
	if err != nil {
		if !errors.As(err, &refused) && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		return
	}
	defer e.End()
	place := func(take func(context.Context) error) bool {
		if take(ctx) != nil {
			return false
		}
		if n := running.Add(1); n > 2 {
			t.Errorf("%d run on two places", n)
		}
		return true
	}
	if !place(e.Acquire) {
		return
	}
	for range random.IntN(20) {
		running.Add(-1)
		switch random.IntN(6) {
		case 0:
			if e.Park(ctx) != nil || !place(e.Unpark) {
				return
			}
		case 1:
			e.Release()
			if !place(e.Acquire) {
				return
			}
		case 2:
			e.Grow(int64(random.IntN(100)))
			running.Add(1)
		default:
			if !place(e.Tick) {
				return
			}
		}
	}
	running.Add(-1)
}

// FuzzScheduler does one thing after another as the bytes say, and holds that nothing is lost.
func FuzzScheduler(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Add([]byte{0, 8, 16, 24, 1, 9, 17, 2, 10, 3, 11, 6, 14, 22})
	f.Fuzz(func(t *testing.T, steps []byte) {
		s := turns.New(turns.Config{Places: 1, Begun: 4, BegunPerFlow: 3, Queued: 2, Memory: 10, Waiting: 1, Turn: 1})
		flows := []*turns.Flow{s.Flow("a", 1), s.Flow("b", 2)}
		over, cancel := context.WithCancel(t.Context())
		cancel() // nothing waits: what cannot be had at once is given up
		var begun []*turns.Evaluation
		for _, step := range steps {
			what, which := step%8, int(step/8)
			if what == 0 || len(begun) == 0 {
				e, err := flows[which%2].Begin(over, turns.Request{Class: turns.Class(which / 2 % 2), Cost: int64(which % 5)})
				if err == nil {
					begun = append(begun, e)
				}
			} else {
				at := which % len(begun)
				e := begun[at]
				switch what {
				case 1, 2:
					_ = e.Acquire(over)
				case 3:
					_ = e.Tick(over)
				case 4:
					if e.Park(over) == nil {
						_ = e.Unpark(over)
					}
				case 5:
					e.Release()
				case 6:
					e.Grow(int64(which%7) - 3)
				case 7:
					e.End()
					begun = append(begun[:at], begun[at+1:]...)
				}
			}
			if got := s.Stats(); got.Begun != len(begun) || got.Running > 1 || got.Hungry != 0 || got.Calling != 0 || got.Queued != 0 {
				t.Fatalf("after %v: %+v, %d begun", steps, got, len(begun))
			}
		}
		for _, e := range begun {
			e.End()
		}
		if got := s.Stats(); got.Begun != 0 || got.Running != 0 || got.Memory != 0 {
			t.Fatalf("in the end: %+v", got)
		}
	})
}

func BenchmarkEvaluation(b *testing.B) {
	f := turns.New(turns.Config{Places: 2}).Flow("p", 1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		e, err := f.Begin(ctx, turns.Request{})
		if err != nil {
			b.Fatal(err)
		}
		_ = e.Acquire(ctx)
		for range 3 {
			_ = e.Tick(ctx)
		}
		e.End()
	}
}

func BenchmarkContended(b *testing.B) {
	s := turns.New(turns.Config{Places: 2})
	flows := []*turns.Flow{s.Flow("a", 1), s.Flow("b", 1), s.Flow("c", 1), s.Flow("d", 1)}
	ctx := b.Context()
	b.ReportAllocs()
	b.SetParallelism(32)
	var next atomic.Int32
	b.RunParallel(func(pb *testing.PB) {
		f := flows[int(next.Add(1))%len(flows)]
		for pb.Next() {
			e, err := f.Begin(ctx, turns.Request{})
			if err != nil {
				b.Error(err)
				return
			}
			_ = e.Acquire(ctx)
			for range 3 {
				_ = e.Tick(ctx)
			}
			e.End()
		}
	})
}
