package policy

import (
	"context"
	"sync/atomic"
)

// Live serves one Set after another. Its zero value serves none. It is safe for concurrent use.
type Live struct{ current atomic.Pointer[Set] }

// Swap serves next, then retires what was served before: it waits until the evaluations that began
// with it are over, and gives up its policies. Evaluations that begin meanwhile use next. When ctx
// ends first, Swap returns its error, and the last of these evaluations gives them up.
func (v *Live) Swap(ctx context.Context, next *Set) error {
	before := v.current.Swap(next)
	if before == nil {
		return nil
	}
	return before.retire(ctx)
}

// replace is Swap for a caller that does not wait.
func (v *Live) replace(next *Set) {
	if before := v.current.Swap(next); before != nil {
		before.leave()
	}
}

// Retire stops serving: further requests find no policy.
func (v *Live) Retire(ctx context.Context) error { return v.Swap(ctx, newSet(v.current.Load(), "")) }

// Statuses says of each policy of the served set how it fares, sorted by ID; nothing when none was
// ever served.
func (v *Live) Statuses() []Status {
	set := v.current.Load()
	if set == nil {
		return nil
	}
	return set.Statuses()
}

// acquire returns the served set, which stays open until it is released; nil when none was ever
// served.
func (v *Live) acquire() *Set {
	for {
		set := v.current.Load()
		if set == nil || set.acquire() {
			return set
		}
		// It was retired between the two steps, so another one is served by now.
	}
}
