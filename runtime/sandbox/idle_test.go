package sandbox_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"policy-server/runtime/sandbox"
)

// TestIdleMemory holds that idle instances of all pools together stay within the bound, that those
// go which have waited longest, and that one which is used stays.
func TestIdleMemory(t *testing.T) {
	const pages, kept = 5, 4
	idle := sandbox.NewIdleMemory(kept * pages * sandbox.PageSize)
	p, err := compileGuestIn(t, "scribbles", abi(), 1024, idle)
	if err != nil {
		t.Fatal(err)
	}
	pools := []*sandbox.Pool{newPool(t, p, sandbox.ResetCopy, pages), newPool(t, p, sandbox.ResetCopy, pages)}
	var held []*sandbox.Instance
	for n := range 10 {
		i, err := pools[n/5].Take(t.Context(), sandbox.Call{})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, i)
	}
	for _, i := range held {
		i.Release()
	}
	if got := pools[0].Stats(); got.Idle != 0 || got.Discards[sandbox.DiscardIdle] != 5 {
		t.Errorf("the pool that waits longer: %+v", got)
	}
	if got := pools[1].Stats(); got.Idle != kept || idle.Held() != kept*pages*sandbox.PageSize {
		t.Errorf("the other: %+v, %d bytes", got, idle.Held())
	}
	for range 10 {
		if _, err := call(t.Context(), pools[1].Take, scribble(1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := pools[1].Stats(); got.Idle != kept || got.Started != 5+3 { // 3 to make its image
		t.Errorf("used over and over: %+v", got)
	}
	for _, pool := range pools {
		if err := pool.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if idle.Held() != 0 {
		t.Errorf("closed, %d bytes are held", idle.Held())
	}
}

// What a mapped memory shares with its image is not its own.
func TestIdleMemory_mapped(t *testing.T) {
	const pages = 200
	idle := sandbox.NewIdleMemory(1 << 30)
	p, err := compileGuestIn(t, "scribbles", abi(), 1024, idle)
	if err != nil {
		t.Fatal(err)
	}
	pool := newPool(t, p, sandbox.ResetScan, pages)
	if pool.Stats().Method == sandbox.ResetCopy {
		pages := int64(pages * sandbox.PageSize)
		if _, err := call(t.Context(), pool.Take, scribble(1)); err != nil || idle.Held() != pages {
			t.Errorf("%v, %d bytes", err, idle.Held())
		}
		return // this system has no mapped memories
	}
	if _, err := call(t.Context(), pool.Take, scribble(1)); err != nil {
		t.Fatal(err)
	}
	if held := idle.Held(); held > pages*sandbox.PageSize/4 {
		t.Errorf("an instance that wrote a word holds %d bytes", held)
	}
}

func TestIdleMemory_hammer(t *testing.T) {
	idle := sandbox.NewIdleMemory(3 * 5 * sandbox.PageSize)
	p, err := compileGuestIn(t, "scribbles", abi(), 1024, idle)
	if err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for range 4 {
		pool := newPool(t, p, sandbox.ResetCopy, 5)
		for range 3 {
			callers.Go(func() {
				for range 100 {
					if _, err := call(t.Context(), pool.Take, scribble(3)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	callers.Wait()
	if idle.Held() > 3*5*sandbox.PageSize || idle.Held() < 0 {
		t.Errorf("%d bytes are held", idle.Held())
	}
}

// budget is a Turn that has so many bytes to give.
type budget struct{ left, refused int64 }

func (b *budget) Tick(context.Context) error    { return nil }
func (b *budget) Release()                      {}
func (b *budget) Acquire(context.Context) error { return nil }

func (b *budget) Grow(bytes int64) bool {
	if bytes > b.left {
		b.refused++
		return false
	}
	b.left -= bytes
	return true
}

// TestGrow holds that a guest asks before it has more than it starts with, in a reset instance and
// in a new one, and is refused what there is no room for.
func TestGrow(t *testing.T) {
	p := compileScribbles(t)
	pool := newPool(t, p, sandbox.ResetAuto, 5)
	if got := pool.StartBytes(); got != 5*sandbox.PageSize {
		t.Errorf("starts with %d bytes", got)
	}
	grow := func(b *budget, pages int) error {
		i, err := pool.Take(t.Context(), sandbox.Call{Session: &exchange{request: hash(1, pages)}, Turn: b})
		if err != nil {
			return err
		}
		defer i.Release()
		_, err = i.Call(t.Context(), "__guest_call", uint64(len("validate")), 12)
		return err
	}
	for range 3 {
		b := &budget{left: 100 * sandbox.PageSize}
		if err := grow(b, 40); err != nil || b.left != 60*sandbox.PageSize {
			t.Errorf("%v, %d pages are left", err, b.left/sandbox.PageSize)
		}
		b = &budget{left: 39 * sandbox.PageSize}
		if _ = grow(b, 40); b.refused != 1 || b.left != 39*sandbox.PageSize {
			t.Errorf("beyond it: %+v", b)
		}
	}
}

// TestGrow_stack holds that a stack counts which is longer than any ordinary one, and that a guest
// is ended when there is no room for it.
func TestGrow_stack(t *testing.T) {
	p, err := compileGuest(t, "recurses_and_loops", abi(), 1024)
	if err != nil {
		t.Fatal(err)
	}
	recurse := func(b *budget) error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		i, err := p.Start(ctx, sandbox.Call{Session: &exchange{}, Turn: b})
		if err != nil {
			return err
		}
		defer i.Release()
		_, err = i.Call(ctx, "__guest_call", uint64(len("validate")), 12)
		return err
	}
	var interrupted *sandbox.InterruptedError
	b := &budget{left: 1 << 30}
	if err := recurse(b); !errors.As(err, &interrupted) || b.left > 1<<30-10<<20 {
		t.Errorf("%v, %d MiB are counted", err, 1<<10-b.left>>20)
	}
	var trap *sandbox.TrapError
	if err := recurse(&budget{left: 4 << 20}); !errors.As(err, &trap) || !strings.Contains(trap.Text, "no memory for a stack") {
		t.Errorf("without room: %v", err)
	}
}
