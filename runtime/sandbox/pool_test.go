package sandbox_test

import (
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"policy-server/runtime/sandbox"
)

var methods = []sandbox.ResetMethod{sandbox.ResetAuto, sandbox.ResetCopy, sandbox.ResetDrop, sandbox.ResetScan}

// A reset instance has the memory, the size and the globals of a new one that was brought to where
// the image was taken, whatever was written and however far it had grown, by each method, through
// many rounds.
func TestReset(t *testing.T) {
	p := compileScribbles(t)
	for _, method := range methods {
		for _, pages := range []int{1, 4, 5, 40, 200} {
			t.Run(fmt.Sprintf("method=%s/pages=%d", method, pages), func(t *testing.T) {
				pool := newPool(t, p, method, pages)
				random := rand.New(rand.NewPCG(1, uint64(pages)))
				want := map[int]uint64{} // by how far the guest grows
				for range 50 {
					writes, grow := random.IntN(2000), random.IntN(3)*random.IntN(20)
					if _, ok := want[grow]; !ok {
						var err error
						if want[grow], err = call(t.Context(), p.Start, layOut(pages), hash(0, grow)); err != nil {
							t.Fatal(err)
						}
					}
					got, err := call(t.Context(), pool.Take, hash(writes, grow))
					if err != nil {
						t.Fatal(err)
					}
					if got != want[grow] {
						t.Fatalf("grown by %d: hash is %#x; want %#x", grow, got, want[grow])
					}
				}
				if got := pool.Stats(); got.Resets != 50 || got.Idle != 1 {
					t.Errorf("got %+v, want one instance and 50 resets", got)
				}
			})
		}
	}
}

// The method is chosen by the image's size; a system that lacks one makes do with another.
func TestResetMethod(t *testing.T) {
	p := compileScribbles(t)
	for _, tc := range []struct {
		pages  int
		asked  sandbox.ResetMethod
		linux  sandbox.ResetMethod
		others sandbox.ResetMethod
	}{
		{1, sandbox.ResetAuto, sandbox.ResetCopy, sandbox.ResetCopy},
		{4, sandbox.ResetAuto, sandbox.ResetCopy, sandbox.ResetCopy},
		{5, sandbox.ResetAuto, sandbox.ResetScan, sandbox.ResetCopy},
		{1, sandbox.ResetScan, sandbox.ResetScan, sandbox.ResetCopy},
		{1, sandbox.ResetDrop, sandbox.ResetDrop, sandbox.ResetCopy},
		{200, sandbox.ResetCopy, sandbox.ResetCopy, sandbox.ResetCopy},
	} {
		t.Run(fmt.Sprintf("%d pages, asked for %q", tc.pages, tc.asked), func(t *testing.T) {
			want := tc.others
			if scans := newPool(t, p, sandbox.ResetScan, 1).Stats().Method; scans == sandbox.ResetScan {
				want = tc.linux
			} else if goruntime.GOOS == "linux" {
				t.Logf("this kernel does not tell what was written: %q instead", scans)
			}
			if got := newPool(t, p, tc.asked, tc.pages).Stats().Method; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// After a call that used far more memory than the image has, an instance is as clean, grown or not.
func TestResetAfterMuchGrowth(t *testing.T) {
	p := compileScribbles(t)
	for _, method := range methods {
		t.Run(string(method), func(t *testing.T) {
			pool := newPool(t, p, method, 8)
			want, err := call(t.Context(), p.Start, layOut(8), hash(0, 500))
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				if got, err := call(t.Context(), pool.Take, hash(50_000, 500)); err != nil || got != want {
					t.Fatalf("got %#x, %v; want %#x", got, err, want)
				}
				if got, err := call(t.Context(), pool.Take, hash(1, 0)); err != nil || got == want {
					t.Fatalf("not grown: got %#x, %v", got, err)
				}
			}
		})
	}
}

func TestReset_hammer(t *testing.T) {
	p := compileScribbles(t)
	for _, method := range methods {
		pool := newPool(t, p, method, 6)
		want, err := call(t.Context(), p.Start, layOut(6), hash(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 50 {
					if got, err := call(t.Context(), pool.Take, hash(rand.N(100), 0)); err != nil || got != want {
						t.Errorf("%s: got %#x, %v; want %#x", method, got, err, want)
					}
				}
			})
		}
		callers.Wait()
	}
}

// Idle instances are given up in the order they were used, those in use stay, and none is kept
// after Close.
func TestPoolTrims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := compileScribbles(t)
		pool := newPool(t, p, sandbox.ResetAuto, 5)
		var held []*sandbox.Instance
		for range 3 {
			i, err := pool.Take(t.Context(), sandbox.Call{})
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, i)
		}
		for _, i := range held {
			i.Release()
			time.Sleep(20 * time.Second)
		}
		// The default is a minute: that of the first is over now.
		synctest.Wait()
		if got := pool.Stats(); got.Idle != 2 || got.Discards[sandbox.DiscardIdle] != 1 {
			t.Errorf("after a minute: %+v", got)
		}
		if _, err := call(t.Context(), pool.Take, scribble(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := pool.Stats(); got.Idle != 1 || got.Instances != 1 {
			t.Errorf("after another half: %+v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := pool.Stats(); got.Instances != 0 {
			t.Errorf("in the end: %+v", got)
		}
	})
}
