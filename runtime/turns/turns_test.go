package turns_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"policy-server/runtime/turns"
)

// These tests have the clock of a synctest bubble: a guest that computes is a sleep with a tick
// after each piece.

const tick = 100 * time.Microsecond

// guest is one evaluation that uses so much guest time.
type guest struct {
	flow  *turns.Flow
	class turns.Class
	work  time.Duration
	ctx   context.Context
}

// run begins, computes and ends, and returns when it was done.
func (g guest) run(t testing.TB) (time.Time, error) {
	ctx := g.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	e, err := g.flow.Begin(ctx, turns.Request{Class: g.class})
	if err != nil {
		return time.Now(), err
	}
	defer e.End()
	if err := e.Acquire(ctx); err != nil {
		return time.Now(), err
	}
	return time.Now(), compute(ctx, e, g.work)
}

func compute(ctx context.Context, e *turns.Evaluation, work time.Duration) error {
	for left := work; left > 0; left -= tick {
		time.Sleep(min(tick, left))
		if err := errors.Join(e.Tick(ctx), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// load keeps n evaluations of a flow, each of so much work, under way until stop is closed.
func load(t testing.TB, group *sync.WaitGroup, f *turns.Flow, class turns.Class, n int, work time.Duration, stop <-chan struct{}) {
	for range n {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := (guest{flow: f, class: class, work: work}).run(t); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
}

// idle checks that nothing is left of anything.
func idle(t *testing.T, s *turns.Scheduler) {
	t.Helper()
	if got := s.Stats(); got.Begun+got.Running+got.Hungry+got.Calling+got.Queued != 0 || got.Memory != 0 {
		t.Errorf("something is left: %+v", got)
	}
}

func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 2})
		f := s.Flow("p", 1)
		var group sync.WaitGroup
		began := time.Now()
		for range 6 {
			group.Go(func() {
				if _, err := (guest{flow: f, work: time.Millisecond}).run(t); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(tick / 2)
		if got := s.Stats(); got.Running != 2 || got.Hungry != 4 || got.Begun != 6 {
			t.Errorf("%+v, want 2 on places and 4 that wait", got)
		}
		group.Wait()
		if took := time.Since(began); took != 3*time.Millisecond {
			t.Errorf("six times 1 ms on two places took %s", took)
		}
		if used := f.Stats().Used; used != 6*time.Millisecond {
			t.Errorf("used %s", used)
		}
		idle(t, s)
	})
}

// TestShares holds that flows which all want more than there is get the same, or by weight,
// whatever the number and the length of their evaluations.
func TestShares(t *testing.T) {
	for name, c := range map[string]struct {
		weights []float64
		loads   []int
		works   []time.Duration
	}{
		"alike":                 {[]float64{1, 1}, []int{4, 4}, []time.Duration{5 * time.Millisecond, 5 * time.Millisecond}},
		"many against few":      {[]float64{1, 1}, []int{50, 2}, []time.Duration{5 * time.Millisecond, 5 * time.Millisecond}},
		"endless against quick": {[]float64{1, 1}, []int{4, 4}, []time.Duration{time.Second, 300 * time.Microsecond}},
		"by weight":             {[]float64{3, 1}, []int{8, 8}, []time.Duration{2 * time.Millisecond, 2 * time.Millisecond}},
		"three":                 {[]float64{1, 1, 1}, []int{2, 20, 60}, []time.Duration{50 * time.Millisecond, time.Millisecond, 100 * time.Microsecond}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := turns.New(turns.Config{Places: 2})
				var flows []*turns.Flow
				var group sync.WaitGroup
				stop := make(chan struct{})
				total := 0.0
				for i, weight := range c.weights {
					f := s.Flow(fmt.Sprint(i), weight)
					flows, total = append(flows, f), total+weight
					load(t, &group, f, turns.Webhook, c.loads[i], c.works[i], stop)
				}
				const long = 4 * time.Second
				time.Sleep(long)
				for i, f := range flows {
					want := 2 * long.Seconds() * c.weights[i] / total
					if got := f.Stats().Used.Seconds(); got < 0.9*want || got > 1.1*want {
						t.Errorf("flow %d used %.3f s, want %.3f s", i, got, want)
					}
				}
				close(stop)
				group.Wait()
				idle(t, s)
			})
		})
	}
}

// TestQuickAmongLong holds that a quick request does not wait for long ones, of its own flow or of
// others, longer than until their next tick.
func TestQuickAmongLong(t *testing.T) {
	for name, same := range map[string]bool{"of others": false, "of its own": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := turns.New(turns.Config{Places: 2})
				quick, long := s.Flow("quick", 1), s.Flow("long", 1)
				if same {
					long = quick
				}
				var group sync.WaitGroup
				stop := make(chan struct{})
				load(t, &group, long, turns.Webhook, 16, 2*time.Second, stop)
				time.Sleep(100 * time.Millisecond)
				for range 50 {
					asked := time.Now()
					placed, err := guest{flow: quick, work: tick}.run(t)
					if waited := placed.Sub(asked); err != nil || waited > tick {
						t.Fatalf("a quick request waited %s, %v", waited, err)
					}
					time.Sleep(5 * time.Millisecond)
				}
				close(stop)
				group.Wait()
				idle(t, s)
			})
		})
	}
}

// TestPopular holds that a thousand requests of one flow do not stand before one of another.
func TestPopular(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 2})
		quick, popular := s.Flow("quick", 1), s.Flow("popular", 1)
		var group sync.WaitGroup
		stop := make(chan struct{})
		load(t, &group, popular, turns.Webhook, 1000, 400*time.Microsecond, stop)
		time.Sleep(50 * time.Millisecond)
		if got := popular.Stats(); got.Begun != 64 || got.Queued != 1000-64 {
			t.Errorf("%+v, want 64 begun", got)
		}
		for range 50 {
			asked := time.Now()
			placed, err := guest{flow: quick, work: tick}.run(t)
			if waited := placed.Sub(asked); err != nil || waited > 400*time.Microsecond {
				t.Fatalf("a request waited %s, %v", waited, err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		close(stop)
		group.Wait()
		idle(t, s)
	})
}

// TestIdlenessEarnsNothing holds that a flow which comes back does not take all places until it has
// caught up with those that were served meanwhile.
func TestIdlenessEarnsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1})
		steady, back := s.Flow("steady", 1), s.Flow("back", 1)
		var group sync.WaitGroup
		stop := make(chan struct{})
		load(t, &group, steady, turns.Webhook, 4, 5*time.Millisecond, stop)
		time.Sleep(5 * time.Second)
		before := steady.Stats().Used
		load(t, &group, back, turns.Webhook, 4, 5*time.Millisecond, stop)
		time.Sleep(100 * time.Millisecond)
		if got := steady.Stats().Used - before; got < 40*time.Millisecond {
			t.Errorf("of 100 ms the flow that had worked all the time got %s", got)
		}
		close(stop)
		group.Wait()
	})
}

// TestAudit holds that audits run on what webhooks leave, and go at once when one comes.
func TestAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 2})
		scanned, asked := s.Flow("scanned", 1), s.Flow("asked", 1)
		var group sync.WaitGroup
		stop := make(chan struct{})
		load(t, &group, scanned, turns.Audit, 32, 20*time.Millisecond, stop)
		time.Sleep(100 * time.Millisecond)
		if used := scanned.Stats().Used; used < 150*time.Millisecond {
			t.Errorf("alone, audits used %s of 200 ms", used)
		}
		for range 20 { // also of the very flow that is audited
			for _, f := range []*turns.Flow{asked, scanned} {
				began := time.Now()
				placed, err := guest{flow: f, work: time.Millisecond}.run(t)
				if waited := placed.Sub(began); err != nil || waited > tick {
					t.Fatalf("a webhook waited %s for audits, %v", waited, err)
				}
			}
		}
		full := make(chan struct{})
		load(t, &group, asked, turns.Webhook, 8, time.Millisecond, full)
		time.Sleep(10 * time.Millisecond)
		before := scanned.Stats().Used
		time.Sleep(100 * time.Millisecond)
		if got := scanned.Stats().Used - before; got > 0 {
			t.Errorf("audits used %s while webhooks wanted every place", got)
		}
		close(full)
		close(stop)
		group.Wait()
		idle(t, s)
	})
}

// TestPark holds that who waits outside holds no place, and that a flow has a bounded number of
// these.
func TestPark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1, Waiting: 3})
		slow, quick := s.Flow("slow", 1), s.Flow("quick", 1)
		var group sync.WaitGroup
		began := time.Now()
		for range 6 {
			group.Go(func() {
				e, err := slow.Begin(t.Context(), turns.Request{})
				if err != nil {
					t.Error(err)
					return
				}
				defer e.End()
				if err := errors.Join(e.Acquire(t.Context()), e.Park(t.Context())); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if err := e.Unpark(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Millisecond)
		if got := slow.Stats(); got.Calling != 3 || got.Running != 0 || got.Begun != 6 {
			t.Errorf("%+v, want 3 that call and none on a place", got)
		}
		if placed, err := (guest{flow: quick, work: tick}).run(t); err != nil || time.Since(placed) != tick {
			t.Errorf("beside them: %v", err)
		}
		group.Wait()
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("six calls of 1 s, three at a time, took %s", took)
		}
		idle(t, s)
	})
}

// TestPark_givingUp holds that whoever gives up while it waits for its call leaves nothing behind.
func TestPark_givingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1, Waiting: 1})
		f := s.Flow("p", 1)
		first, err := f.Begin(t.Context(), turns.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(first.Acquire(t.Context()), first.Park(t.Context())); err != nil {
			t.Fatal(err)
		}
		second, err := f.Begin(t.Context(), turns.Request{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := second.Acquire(ctx); err != nil {
			t.Fatal(err)
		}
		if err := second.Park(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		second.End()
		if err := first.Unpark(t.Context()); err != nil {
			t.Error(err)
		}
		first.End()
		idle(t, s)
	})
}

// TestRefusedError_alone holds that nobody is blamed where nobody is in the way.
func TestRefusedError_alone(t *testing.T) {
	alone := &turns.RefusedError{Reason: turns.NotInTime, Flow: "p"}
	if want := `policy "p" was not asked: its client gives up before an answer could be there`; alone.Error() != want || !strings.Contains(alone.Hint(), "timeoutSeconds") {
		t.Errorf("got  %s; %s\nwant %s", alone, alone.Hint(), want)
	}
	for _, busy := range []turns.RefusedError{{Begun: 1}, {Queued: 1}, {Others: 1}} {
		busy.Reason = turns.NotInTime
		if text := busy.Error(); !strings.Contains(text, "is too busy") || strings.Contains(busy.Hint(), "timeoutSeconds") {
			t.Errorf("%+v: %s; %s", busy, text, busy.Hint())
		}
	}
}

func TestBegin_refuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1, Begun: 8, BegunPerFlow: 2, QueuedPerFlow: 1})
		f, other := s.Flow("busy", 1), s.Flow("other", 1)
		var held []*turns.Evaluation
		for range 2 {
			e, err := f.Begin(t.Context(), turns.Request{})
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, e)
		}
		began := time.Now()
		var refused *turns.RefusedError
		_, err := f.Begin(t.Context(), turns.Request{AnswerBy: began.Add(10 * time.Second)})
		if waited := time.Since(began); !errors.As(err, &refused) || refused.Reason != turns.NotInTime || waited != 9900*time.Millisecond {
			t.Errorf("%v after %s", err, waited)
		}
		if want := `policy "busy" is too busy: it could not begin before its client gives up; 2 of its evaluations run, 0 of these wait in host calls, 0 requests wait, 0 evaluations of other policies run`; err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := f.Begin(ctx, turns.Request{}); !errors.Is(err, context.Canceled) {
				t.Errorf("the client has left: %v", err)
			}
		})
		synctest.Wait()
		if _, err := f.Begin(t.Context(), turns.Request{}); !errors.As(err, &refused) || refused.Reason != turns.QueueFull || refused.Queued != 1 {
			t.Errorf("the queue is full: %v", err)
		}
		if e, err := other.Begin(t.Context(), turns.Request{}); err != nil {
			t.Errorf("another flow: %v", err)
		} else {
			e.End()
		}
		cancel()
		group.Wait()
		if got := f.Stats(); got.Queued != 0 || got.Refused[turns.NotInTime] != 1 || got.Refused[turns.QueueFull] != 1 || got.Waits != 2 {
			t.Errorf("%+v", got)
		}
		for _, e := range held {
			e.End()
		}
		idle(t, s)
	})
}

// TestMemory holds that flows stay within the budget together, and that one which takes all it can
// get leaves something.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1, Memory: 100})
		greedy, modest := s.Flow("greedy", 1), s.Flow("modest", 1)
		soon := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		first, err := modest.Begin(t.Context(), turns.Request{Cost: 5})
		if err != nil {
			t.Fatal(err)
		}
		var held []*turns.Evaluation
		for {
			e, err := greedy.Begin(soon(), turns.Request{Cost: 10})
			if err != nil {
				break
			}
			held = append(held, e)
		}
		if got := greedy.Stats().Memory; got != 70 {
			t.Errorf("the greedy one holds %d of 100, want three quarters with the others", got)
		}
		if held[0].Grow(10) {
			t.Error("the greedy one grew")
		}
		if !first.Grow(20) || first.Grow(6) {
			t.Errorf("the modest one may grow up to the budget: %+v", s.Stats())
		}
		if got := s.Stats(); got.Memory > 100 || got.Refused[turns.NotGrown] != 2 {
			t.Errorf("%+v", got)
		}
		first.Grow(-20)
		first.End()
		for _, e := range held {
			e.End()
		}
		if e, err := greedy.Begin(soon(), turns.Request{Cost: 1000}); err != nil {
			t.Errorf("alone, what is larger than the budget may run: %v", err)
		} else {
			e.End()
		}
		idle(t, s)
	})
}

// TestBegin_newcomer holds that those who were alone, and took what they could get, have left room
// for the next flow, of memory and of evaluations.
func TestBegin_newcomer(t *testing.T) {
	for _, greedy := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			for _, cfg := range []turns.Config{{Memory: 1000}, {Begun: 100, BegunPerFlow: 100}} {
				s := turns.New(cfg)
				var held []*turns.Evaluation
				ctx, cancel := context.WithCancel(t.Context())
				var group sync.WaitGroup
				var mu sync.Mutex // guards held
				for n := range greedy {
					flow := s.Flow(fmt.Sprint(n), 1)
					for range 100 {
						group.Go(func() {
							if e, err := flow.Begin(ctx, turns.Request{Cost: 10}); err == nil {
								mu.Lock()
								defer mu.Unlock()
								held = append(held, e)
							}
						})
					}
				}
				synctest.Wait()
				newcomer := s.Flow("newcomer", 1)
				for range 2 {
					soon, stop := context.WithTimeout(ctx, time.Millisecond)
					e, err := newcomer.Begin(soon, turns.Request{Cost: 10})
					stop()
					if err != nil {
						t.Fatalf("beside %d greedy ones with %+v: %v, %+v", greedy, cfg, err, s.Stats())
					}
					held = append(held, e)
				}
				cancel()
				group.Wait()
				for _, e := range held {
					e.End()
				}
				idle(t, s)
			}
		})
	}
}

// TestBegin_typical holds that room is made for what a flow's evaluations came to hold of late.
func TestBegin_typical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1, Memory: 100})
		f := s.Flow("grows", 1)
		begin := func() (*turns.Evaluation, error) {
			return f.Begin(t.Context(), turns.Request{Cost: 10, AnswerBy: time.Now().Add(time.Second)})
		}
		e, err := begin()
		if err != nil || !e.Grow(50) || !e.Grow(-50) || e.Starved() != nil {
			t.Fatalf("%v, %+v", err, s.Stats())
		}
		e.End()
		if e, err = begin(); err != nil || s.Stats().Memory != 60 {
			t.Fatalf("after one that held 60: %v, %+v", err, s.Stats())
		}
		var refused *turns.RefusedError
		if _, err := begin(); !errors.As(err, &refused) || refused.Reason != turns.NotInTime {
			t.Errorf("a second one beside it: %v", err)
		}
		e.End()
		for range 20 {
			if e, err = begin(); err != nil {
				t.Fatal(err)
			}
			e.End()
		}
		e, err = begin()
		other, err2 := begin()
		if err != nil || err2 != nil || s.Stats().Memory > 30 {
			t.Fatalf("after many that held 10: %v, %v, %+v", err, err2, s.Stats())
		}
		if e.Grow(90) || !errors.As(e.Starved(), &refused) || refused.Reason != turns.NotGrown || refused.Flow != "grows" {
			t.Errorf("beyond the budget: %v", e.Starved())
		}
		e.End()
		other.End()
		idle(t, s)
	})
}

// TestAcquire_late holds that an evaluation that has begun, and gets no place to run in, is refused
// before its client gives up; one that has run is not.
func TestAcquire_late(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1})
		holder, err := s.Flow("holds", 1).Begin(t.Context(), turns.Request{})
		if err != nil || holder.Acquire(t.Context()) != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e, err := s.Flow("late", 1).Begin(ctx, turns.Request{AnswerBy: began.Add(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		var refused *turns.RefusedError
		if err := e.Acquire(ctx); !errors.As(err, &refused) || refused.Flow != "late" || time.Since(began) >= time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		e.End()
		if e, err = s.Flow("runs", 1).Begin(ctx, turns.Request{AnswerBy: began.Add(time.Second)}); err != nil {
			t.Fatal(err)
		}
		holder.Release()
		if err := e.Acquire(ctx); err != nil {
			t.Error(err)
		}
		e.Release()
		if err := holder.Acquire(t.Context()); err != nil {
			t.Error(err)
		}
		if err := e.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that has run: %v", err)
		}
		e.End()
		holder.End()
		idle(t, s)
	})
}

// TestTick_givingUp holds that who runs out of time while it waits for its place ends without one.
func TestTick_givingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := turns.New(turns.Config{Places: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var group sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			group.Go(func() {
				_, errs[i] = guest{flow: s.Flow(fmt.Sprint(i), 1), work: time.Second, ctx: ctx}.run(t)
			})
		}
		group.Wait()
		if slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, context.DeadlineExceeded) }) {
			t.Errorf("got %v", errs)
		}
		idle(t, s)
	})
}
