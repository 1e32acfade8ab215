package flight

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// remembering keeps answers for a lifetime, as far as their lengths and those of their keys are
// within limit together.
func remembering(lifetime time.Duration, limit int64) *Memo[string, string] {
	return NewMemo(MemoConfig[string, string]{Lifetime: lifetime, Limit: limit, Cost: func(key, answer string) int { return len(key) + len(answer) }})
}

func TestRemembering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo, acts := remembering(time.Minute, 12), 0 // two answers of five bytes and a key
		act := func(context.Context) (string, error) { acts++; return "abcde", nil }
		fail := func(context.Context) (string, error) { acts++; return "", errors.New("no") }
		for i, step := range []struct {
			key   string
			act   func(context.Context) (string, error)
			after time.Duration
			runs  bool
		}{
			{"a", act, 0, true},
			{"a", fail, 0, false},
			{"b", fail, 0, true},
			{"b", act, 0, true},            // failures are not remembered
			{"a", act, time.Minute, true},  // too old
			{"b", act, time.Second, true},  // too old
			{"a", act, time.Second, false}, // both fit
			{"c", act, time.Second, true},  // pushes out the one that was not asked for longest
			{"a", act, 0, false},           // the other one stayed
			{"b", act, 0, true},            // that one is gone
		} {
			time.Sleep(step.after)
			before := acts
			_, _ = memo.Do(t.Context(), step.key, step.act) // what matters is whether it was asked
			if ran := acts > before; ran != step.runs {
				t.Errorf("step %d: the act ran: %t", i, ran)
			}
		}
		memo.Forget("a")
		before := acts
		if _, err := memo.Do(t.Context(), "a", act); err != nil || acts == before {
			t.Errorf("a forgotten answer is given, %v", err)
		}
	})
}

func TestRemembering_tooLargeToKeep(t *testing.T) {
	memo, acts := remembering(time.Minute, 10), 0
	for range 2 {
		answer, err := memo.Do(t.Context(), "a", func(context.Context) (string, error) { acts++; return strings.Repeat("a", 11), nil })
		if err != nil || len(answer) != 11 {
			t.Errorf("answer %q, %v", answer, err)
		}
	}
	if acts != 2 {
		t.Errorf("acted %d times", acts)
	}
}

func TestRemembering_panics(t *testing.T) {
	memo := remembering(time.Minute, 10)
	if _, err := memo.Do(t.Context(), "a", func(context.Context) (string, error) { panic("out of luck") }); err == nil || err.Error() != "internal error: out of luck" {
		t.Errorf("error is %v", err)
	}
	if answer, err := memo.Do(t.Context(), "a", func(context.Context) (string, error) { return "b", nil }); answer != "b" || err != nil {
		t.Errorf("afterwards: %q, %v", answer, err)
	}
}

// One who gives up takes nothing from the others; the last one who does stops the act.
func TestRemembering_givingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo := remembering(time.Minute, 10)
		stopped := false
		slow := func(ctx context.Context) (string, error) {
			select {
			case <-time.After(time.Second):
				return "slow", nil
			case <-ctx.Done():
				stopped = true
				return "", ctx.Err()
			}
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := memo.Do(hasty, "a", slow); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the hasty one got %v", err)
			}
		})
		waiting.Go(func() {
			if answer, err := memo.Do(t.Context(), "a", slow); answer != "slow" || err != nil {
				t.Errorf("the patient one got %q, %v", answer, err)
			}
		})
		waiting.Wait()
		if stopped {
			t.Error("the act was stopped while somebody waited")
		}
		hasty, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := memo.Do(hasty, "b", slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the only one got %v", err)
		}
		synctest.Wait()
		if !stopped {
			t.Error("the act goes on for nobody")
		}
	})
}

func TestRemembering_hammer(t *testing.T) {
	memo := remembering(time.Millisecond, 20)
	var acts atomic.Int32
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := range 500 {
				key := strconv.Itoa((i + caller) % 7)
				answer, err := memo.Do(t.Context(), key, func(context.Context) (string, error) { acts.Add(1); return "of " + key, nil })
				if answer != "of "+key || err != nil {
					t.Errorf("answer for %s: %q, %v", key, answer, err)
				}
				if i%50 == 0 {
					memo.Forget(key)
				}
			}
		})
	}
	callers.Wait()
	if n := acts.Load(); n == 8*500 {
		t.Error("nothing was remembered")
	}
}
