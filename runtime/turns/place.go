package turns

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Acquire takes a place, and waits for one where there is none. One that has a place keeps it. The
// error is ctx's when that ends first, or a *[RefusedError] when the evaluation has not run at all
// shortly before its client gives up: it has no place then.
func (e *Evaluation) Acquire(ctx context.Context) error {
	s := e.flow.scheduler
	s.mu.Lock()
	if e.running {
		s.mu.Unlock()
		return nil
	}
	if s.free > 0 {
		s.free--
		e.start(time.Now())
		s.mu.Unlock()
		return nil
	}
	first := e.turn.IsZero()
	e.wait()
	s.mu.Unlock()
	if !first { // what has run is ended by its own limit
		return e.awaitPlace(ctx, nil)
	}
	late, stop := e.lateness()
	defer stop()
	return e.awaitPlace(ctx, late)
}

// awaitPlace waits for a place until late, when e is refused, or ctx ends.
func (e *Evaluation) awaitPlace(ctx context.Context, late <-chan time.Time) error {
	s := e.flow.scheduler
	gone := false
	select {
	case <-e.wake:
		return nil
	case <-late:
	case <-ctx.Done():
		gone = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.running && !gone: // it got one meanwhile
		<-e.wake
		return nil
	case e.running:
		<-e.wake
		e.release()
	default:
		e.stopWaiting()
	}
	if gone {
		return ctx.Err()
	}
	refused := e.flow.refuse(NotInTime)
	refused.Begun-- // it has begun, and is not in its own way
	return refused
}

// Tick is called by the evaluation that runs, every so often. It returns at once when nobody waits
// for a place. Otherwise the evaluation gives its place to one that should go first, and waits for
// the next: when its turn is over and a flow that was served less waits, or at once when one waits
// that has used less guest time and belongs to the same flow or to one that was served less. The
// error is ctx's when that ends first: the evaluation has no place then.
func (e *Evaluation) Tick(ctx context.Context) error {
	s := e.flow.scheduler
	if s.wanted.Load() == 0 {
		return nil
	}
	s.mu.Lock()
	if !e.running {
		s.mu.Unlock()
		return nil
	}
	now := time.Now()
	e.account(now)
	next := s.next()
	if next == nil || !e.yieldsTo(next, now) {
		s.mu.Unlock()
		return nil
	}
	e.stop()
	next.hand(now)
	e.wait()
	s.mu.Unlock()
	return e.awaitPlace(ctx, nil)
}

// yieldsTo tells whether e, which runs, goes behind next. The caller holds mu.
func (e *Evaluation) yieldsTo(next *Evaluation, now time.Time) bool {
	switch {
	case e.class != next.class:
		return next.class == Webhook
	case e.flow == next.flow:
		return next.level() < e.level()
	case next.flow.virtual() >= e.flow.clock:
		return false
	}
	return next.level() < e.level() || now.Sub(e.turn) >= e.flow.scheduler.cfg.Turn
}

// Park gives the place up around a host call that waits for somebody outside. Where the flow has as
// many of these as it may, it first waits for one to be over; the others are not concerned. After
// nil the caller makes the call and then calls Unpark; the error is ctx's.
func (e *Evaluation) Park(ctx context.Context) error {
	s, f := e.flow.scheduler, e.flow
	s.mu.Lock()
	e.release()
	if f.usage.calling < s.cfg.Waiting {
		f.usage.calling++
		s.total.calling++
		s.mu.Unlock()
		return nil
	}
	e.mayWait()
	e.element = f.parking.PushBack(e)
	s.mu.Unlock()
	select {
	case <-e.wake:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.element == nil { // it may call meanwhile
		<-e.wake
		f.called()
	} else {
		f.parking.Remove(e.element)
		e.element = nil
	}
	return ctx.Err()
}

// Unpark ends a call that Park has let begin, and takes a place again. Errors are Acquire's.
func (e *Evaluation) Unpark(ctx context.Context) error {
	s := e.flow.scheduler
	s.mu.Lock()
	e.flow.called()
	s.mu.Unlock()
	return e.Acquire(ctx)
}

// called lets the next evaluation of f wait outside. The caller holds mu.
func (f *Flow) called() {
	if first := f.parking.Front(); first != nil {
		e := f.parking.Remove(first).(*Evaluation)
		e.element = nil
		e.wake <- struct{}{}
		return
	}
	f.usage.calling--
	f.scheduler.total.calling--
}

// Release gives the place up around something that needs nothing of anybody, such as WASI's sleep,
// and is not counted among the calls. Acquire takes one again.
func (e *Evaluation) Release() {
	s := e.flow.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	e.release()
}

// Grow makes the evaluation hold more bytes, or fewer, and reports whether it may. A flow that
// holds much is refused before one that holds little. Room that was made is kept until the end: who
// needed it once may need it again.
func (e *Evaluation) Grow(bytes int64) bool {
	f := e.flow
	s := f.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	e.peak = max(e.peak, e.held+bytes) // also when it is refused: the next one waits until there is so much
	if more := e.held + bytes - e.cost; more > 0 {
		if !f.fits(more, e.class) && s.total.begun > 1 {
			e.starved = true
			f.count(func(c *counts) { c.refused[notGrown]++ })
			return false
		}
		e.reserve(more)
	}
	e.held += bytes
	return true
}

// Starved returns a *[RefusedError] when the evaluation was once refused to grow, or nil. One that
// is nil was not.
func (e *Evaluation) Starved() error {
	if e == nil {
		return nil
	}
	s := e.flow.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	if !e.starved {
		return nil
	}
	return e.flow.refusal(NotGrown)
}

// reserve makes room for more bytes of e. The caller holds mu.
func (e *Evaluation) reserve(bytes int64) {
	e.cost += bytes
	e.flow.usage.memory += bytes
	e.flow.scheduler.total.memory += bytes
}

// forgets is how slowly a flow forgets what an evaluation has held: each that holds less takes this
// part of the difference away.
const forgets = 8

// End gives up everything the evaluation has. It must be called once.
func (e *Evaluation) End() {
	f := e.flow
	s := f.scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	e.release()
	// One evaluation that needed much makes room for the next; eight that needed less undo that.
	f.typical = max(e.peak, f.typical-(f.typical-e.peak)/forgets-1)
	for _, u := range []*usage{&f.usage, &s.total} {
		u.begun--
		u.memory -= e.cost
		if e.class == Audit {
			u.audits--
		}
	}
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, e)
	}
	s.admit()
}

// The caller of the following holds mu.

// start lets e run on a place that it was given.
func (e *Evaluation) start(now time.Time) {
	f := e.flow
	f.clock = f.virtual()
	f.scheduler.clock = max(f.scheduler.clock, f.clock)
	f.usage.running++
	f.scheduler.total.running++
	e.running, e.since, e.turn = true, now, now
}

// hand lets e, which waits, run on a place that another evaluation gave up.
func (e *Evaluation) hand(now time.Time) {
	e.start(now)
	e.stopWaiting()
	e.wake <- struct{}{}
}

// stop takes the place from e, for its caller to pass on.
func (e *Evaluation) stop() {
	e.running = false
	e.flow.usage.running--
	e.flow.scheduler.total.running--
}

// account adds what e has used since it was last asked.
func (e *Evaluation) account(now time.Time) {
	used := max(now.Sub(e.since), 0)
	e.since = now
	e.used += used
	e.flow.clock += float64(used) / e.flow.weight
	e.flow.count(func(c *counts) { c.used += used })
}

// release gives the place up, to the evaluation that goes next if there is one.
func (e *Evaluation) release() {
	if !e.running {
		return
	}
	s := e.flow.scheduler
	now := time.Now()
	e.account(now)
	e.stop()
	if next := s.next(); next != nil {
		next.hand(now)
		return
	}
	s.free++
}

// wait makes e one of those who wait for a place.
func (e *Evaluation) wait() {
	f := e.flow
	s := f.scheduler
	e.mayWait()
	line := &f.waiting[e.class][e.level()]
	at, _ := slices.BinarySearchFunc(*line, e.arrival, func(other *Evaluation, arrival uint64) int {
		return cmp.Compare(other.arrival, arrival)
	})
	*line = slices.Insert(*line, at, e)
	if f.usage.hungry == 0 {
		f.clock = f.virtual()
		s.hungry = append(s.hungry, f)
	}
	f.usage.hungry++
	s.total.hungry++
	s.wanted.Add(1)
}

func (e *Evaluation) stopWaiting() {
	f := e.flow
	s := f.scheduler
	line := &f.waiting[e.class][e.level()]
	at := slices.Index(*line, e)
	*line = slices.Delete(*line, at, at+1)
	f.usage.hungry--
	s.total.hungry--
	if f.usage.hungry == 0 {
		s.hungry = slices.DeleteFunc(s.hungry, func(other *Flow) bool { return other == f })
	}
	s.wanted.Add(-1)
}

// next returns the evaluation that gets the next place; nil when none waits.
func (s *Scheduler) next() *Evaluation {
	var next *Evaluation
	for _, f := range s.hungry {
		if e := f.first(); next == nil || before(e.class, f, next.class, next.flow) {
			next = e
		}
	}
	return next
}

func (f *Flow) first() *Evaluation {
	for class := range f.waiting {
		for level := range f.waiting[class] {
			if line := f.waiting[class][level]; len(line) > 0 {
				return line[0]
			}
		}
	}
	return nil
}
