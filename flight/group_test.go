package flight

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// ending is what one caller of Group.Do got.
type ending struct {
	value string
	err   error
}

// call asks in a goroutine of its own, and returns where its ending will be.
func call(ctx context.Context, g *Group[string, string], find func(context.Context) (string, error)) <-chan ending {
	ended := make(chan ending, 1)
	go func() {
		value, err := g.Do(ctx, "key", find)
		ended <- ending{value, err}
	}()
	synctest.Wait() // until it waits or has ended
	return ended
}

// TestGroup_shared holds that a Group which keeps nothing still has one flight for those who ask at
// the same time.
func TestGroup_shared(t *testing.T) {
	broken := errors.New("broken")
	for name, err := range map[string]error{"value": nil, "error": broken} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup(GroupConfig[string, string]{})
				land := make(chan struct{})
				first := call(t.Context(), g, func(context.Context) (string, error) { <-land; return "module", err })
				second := call(t.Context(), g, func(context.Context) (string, error) {
					t.Error("the second caller asked too")
					return "", nil
				})
				close(land)
				if one, two := <-first, <-second; one != (ending{"module", err}) || two != one {
					t.Errorf("got %v and %v", one, two)
				}
				if third := <-call(t.Context(), g, func(context.Context) (string, error) { return "again", nil }); third.value != "again" {
					t.Errorf("got %v after the flight had landed", third)
				}
			})
		})
	}
}

// TestGroup_left holds that a caller who gives up, be it the first one, takes nothing from the
// others.
func TestGroup_left(t *testing.T) {
	for name, hasty := range map[string]int{"the first one": 0, "one who joined": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGroup(GroupConfig[string, string]{})
				land := make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				contexts := []context.Context{t.Context(), t.Context()}
				contexts[hasty] = ctx
				find := func(ctx context.Context) (string, error) {
					select {
					case <-land:
						return "module", nil
					case <-ctx.Done():
						return "", ctx.Err()
					}
				}
				calls := []<-chan ending{call(contexts[0], g, find), call(contexts[1], g, find)}
				cancel()
				if got := <-calls[hasty]; !errors.Is(got.err, context.Canceled) {
					t.Errorf("who gave up got %v", got)
				}
				close(land)
				if got := <-calls[1-hasty]; got != (ending{"module", nil}) {
					t.Errorf("who waited got %v", got)
				}
			})
		})
	}
}
