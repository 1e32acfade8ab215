package registry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// These tests are inside the package for the moment at which a caller joins a flight.

// ending is what one caller of flights.do got.
type ending struct {
	content []byte
	err     error
}

// call asks for the module in a goroutine of its own, and returns where its ending will be.
func call(ctx context.Context, f *flights, fetch func(context.Context) ([]byte, error)) <-chan ending {
	ended := make(chan ending, 1)
	go func() {
		content, err := f.do(ctx, "module", fetch)
		ended <- ending{content, err}
	}()
	synctest.Wait() // until it fetches, waits or has ended
	return ended
}

func TestFlightIsShared(t *testing.T) {
	broken := errors.New("broken")
	for name, err := range map[string]error{"content": nil, "error": broken} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f flights
				land := make(chan struct{})
				first := call(t.Context(), &f, func(context.Context) ([]byte, error) { <-land; return []byte("module"), err })
				second := call(t.Context(), &f, func(context.Context) ([]byte, error) {
					t.Error("the second caller fetched too")
					return nil, nil
				})
				close(land)
				one, two := <-first, <-second
				if string(one.content) != "module" || string(two.content) != "module" || !errors.Is(one.err, err) || !errors.Is(two.err, err) {
					t.Errorf("got %q, %v and %q, %v", one.content, one.err, two.content, two.err)
				}
				one.content[0] = 'M'
				if string(two.content) != "module" {
					t.Error("both callers own the same bytes")
				}
				third := <-call(t.Context(), &f, func(context.Context) ([]byte, error) { return []byte("again"), nil })
				if string(third.content) != "again" {
					t.Errorf("got %q after the flight had landed", third.content)
				}
			})
		})
	}
}

// TestFlightIsTakenOver has the one who fetches give up, which is no reason for others to.
func TestFlightIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		ctx, cancel := context.WithCancel(t.Context())
		first := call(ctx, &f, func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		second := call(t.Context(), &f, func(context.Context) ([]byte, error) { return []byte("module"), nil })
		cancel()
		if one := <-first; !errors.Is(one.err, context.Canceled) {
			t.Errorf("got error %v, want that the context was canceled", one.err)
		}
		if two := <-second; two.err != nil || string(two.content) != "module" {
			t.Errorf("got %q, %v, want the module", two.content, two.err)
		}
	})
}

// TestFlightIsLeft has one who waits give up, which is nothing to the one who fetches.
func TestFlightIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		land := make(chan struct{})
		first := call(t.Context(), &f, func(context.Context) ([]byte, error) { <-land; return []byte("module"), nil })
		ctx, cancel := context.WithCancel(t.Context())
		second := call(ctx, &f, nil)
		cancel()
		if two := <-second; !errors.Is(two.err, context.Canceled) {
			t.Errorf("got error %v, want that the context was canceled", two.err)
		}
		close(land)
		if one := <-first; one.err != nil || string(one.content) != "module" {
			t.Errorf("got %q, %v, want the module", one.content, one.err)
		}
	})
}
