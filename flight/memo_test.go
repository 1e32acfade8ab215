package flight

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errRefused = errors.New("refused")

// newTestMemo keeps values for a minute and refusals for a second, lets two flights go on, and
// flies for ten seconds.
func newTestMemo() *Memo[string, int] {
	return NewMemo(MemoConfig[string, int]{
		Lifetime:        time.Minute,
		RefusedLifetime: time.Second,
		IsAnswer:        func(err error) bool { return errors.Is(err, errRefused) },
		Cost:            func(string, int) int { return 8 },
		Limit:           1 << 20,
		MaxAbandoned:    2,
		FlightTime:      10 * time.Second,
	})
}

// slow finds n after a while, unless its context ends first, and counts how often it was asked and
// cut short.
type slow struct {
	n          int
	after      time.Duration
	asked, cut atomic.Int32
}

func (s *slow) find(ctx context.Context) (int, error) {
	s.asked.Add(1)
	select {
	case <-time.After(s.after):
		return s.n, nil
	case <-ctx.Done():
		s.cut.Add(1)
		return 0, ctx.Err()
	}
}

// ask asks for as long as patience lasts.
func ask(t *testing.T, m *Memo[string, int], key string, patience time.Duration, find func(context.Context) (int, error)) (int, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return m.Do(ctx, key, find)
}

// left waits until nothing moves, and returns how many flights there are and how many of them
// nobody waits for.
func left(m *Memo[string, int]) (flights, abandoned int) {
	synctest.Wait()
	return m.flights.Underway()
}

func TestMemo_onceForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newTestMemo(), &slow{n: 7, after: time.Second}
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() {
				if n, err := ask(t, m, "a", time.Hour, s.find); n != 7 || err != nil {
					t.Errorf("got %d, %v", n, err)
				}
			})
		}
		group.Wait()
		if n, err := ask(t, m, "a", 0, s.find); n != 7 || err != nil {
			t.Errorf("afterwards, without any time: %d, %v", n, err)
		}
		if s.asked.Load() != 1 {
			t.Errorf("found out %d times", s.asked.Load())
		}
		time.Sleep(time.Minute)
		if _, err := ask(t, m, "a", time.Hour, s.find); err != nil || s.asked.Load() != 2 {
			t.Errorf("after its lifetime: %v, found out %d times", err, s.asked.Load())
		}
	})
}

func TestMemo_whoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newTestMemo(), &slow{n: 7, after: 5 * time.Second}
		began := time.Now()
		for range 2 { // the second joins what the first left
			if _, err := ask(t, m, "a", time.Second, s.find); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		}
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("both together waited %s", waited)
		}
		if n, err := ask(t, m, "a", time.Hour, s.find); n != 7 || err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("who has time: %d, %v after %s", n, err, time.Since(began))
		}
		if _, abandoned := left(m); s.asked.Load() != 1 || s.cut.Load() != 0 || abandoned != 0 {
			t.Errorf("found out %d times, cut short %d times, %d abandoned", s.asked.Load(), s.cut.Load(), abandoned)
		}
	})
}

func TestMemo_resultOfTheAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := newTestMemo(), &slow{n: 7, after: 5 * time.Second}
		_, _ = ask(t, m, "a", time.Second, s.find)
		time.Sleep(5 * time.Second)
		_, abandoned := left(m)
		if n, err := ask(t, m, "a", 0, s.find); n != 7 || err != nil || s.asked.Load() != 1 || abandoned != 0 {
			t.Errorf("got %d, %v; found out %d times, %d abandoned", n, err, s.asked.Load(), abandoned)
		}
	})
}

func TestMemo_abandonedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTestMemo()
		dead := &slow{after: time.Hour}
		for i := range 5 {
			_, _ = ask(t, m, fmt.Sprint(i), time.Second, dead.find)
		}
		if flights, abandoned := left(m); dead.cut.Load() != 3 || flights != 2 || abandoned != 2 {
			t.Errorf("%d cut short, %d under way, %d abandoned; want 3, 2, 2", dead.cut.Load(), flights, abandoned)
		}
		live := &slow{n: 7}
		if n, err := ask(t, m, "4", time.Second, live.find); n != 7 || err != nil {
			t.Errorf("behind a flight that was cut: %d, %v", n, err)
		}
		time.Sleep(10 * time.Second) // they end without anybody's help
		if flights, abandoned := left(m); dead.cut.Load() != 5 || flights != 0 || abandoned != 0 {
			t.Errorf("%d cut short, %d under way, %d abandoned; want 5, 0, 0", dead.cut.Load(), flights, abandoned)
		}
	})
}

func TestMemo_errors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTestMemo()
		asked := 0
		failing := func(err error) func(context.Context) (int, error) {
			return func(context.Context) (int, error) { asked++; return 0, err }
		}
		unreachable := errors.New("connection refused")
		for range 2 {
			if _, err := ask(t, m, "a", time.Second, failing(unreachable)); !errors.Is(err, unreachable) {
				t.Errorf("got %v", err)
			}
		}
		if asked != 2 {
			t.Errorf("a failure was remembered: asked %d times", asked)
		}
		for range 2 {
			if n, err := ask(t, m, "a", time.Second, failing(errRefused)); !errors.Is(err, errRefused) || n != 0 {
				t.Errorf("got %d, %v", n, err)
			}
		}
		if asked != 3 {
			t.Errorf("a refusal was not remembered: asked %d times", asked)
		}
		time.Sleep(time.Second)
		if n, err := ask(t, m, "a", time.Second, (&slow{n: 7}).find); n != 7 || err != nil {
			t.Errorf("after the refusal's lifetime: %d, %v", n, err)
		}
		_, err := ask(t, m, "b", time.Second, func(context.Context) (int, error) { panic("no such key") })
		if err == nil || err.Error() != "internal error: no such key" {
			t.Errorf("panic: got %v", err)
		}
		cut := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, errRefused }
		_, _ = ask(t, m, "c", time.Hour, cut)
		if n, err := ask(t, m, "c", time.Second, (&slow{n: 7}).find); n != 7 || err != nil {
			t.Errorf("a refusal by what was cut short was remembered: %d, %v", n, err)
		}
	})
}

func TestMemo_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTestMemo()
		if n, err := ask(t, m, "known", time.Second, (&slow{n: 7}).find); n != 7 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		dead := &slow{after: time.Hour}
		_, _ = ask(t, m, "a", time.Second, dead.find)
		m.Close()
		if dead.cut.Load() != 1 {
			t.Error("a flight goes on")
		}
		if _, err := ask(t, m, "a", time.Second, dead.find); !errors.Is(err, ErrClosed) || dead.asked.Load() != 1 {
			t.Errorf("closed: %v, asked %d times", err, dead.asked.Load())
		}
		if n, err := ask(t, m, "known", time.Second, dead.find); n != 7 || err != nil {
			t.Errorf("closed, what is known: %d, %v", n, err)
		}
	})
}

func TestMemo_hammer(t *testing.T) {
	m := newTestMemo()
	m.found.lifetime = time.Millisecond
	var found atomic.Int64
	find := func(ctx context.Context) (int, error) {
		found.Add(1)
		select {
		case <-time.After(300 * time.Microsecond):
			return 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	var group sync.WaitGroup
	for worker := range 16 {
		group.Go(func() {
			for i := range 200 {
				patience := time.Duration(i%5) * 200 * time.Microsecond
				n, err := ask(t, m, fmt.Sprint((worker+i)%3), patience, find)
				if err == nil && n != 1 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %d, %v", n, err)
				}
			}
		})
	}
	group.Wait()
	m.Close()
	if flights, abandoned := m.flights.Underway(); found.Load() == 0 || abandoned != 0 || flights != 0 {
		t.Errorf("found out %d times, %d abandoned, %d under way", found.Load(), abandoned, flights)
	}
}
