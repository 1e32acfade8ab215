package turns

import (
	"cmp"
	"container/list"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how much there is to share. A field that is 0 means its default.
type Config struct {
	Places        int           // evaluations that run guest code at once; default 1
	Begun         int           // evaluations that have begun and not ended; default 1024
	BegunPerFlow  int           // of these, of one flow; default 64
	Queued        int           // requests that wait to begin; default 4096
	QueuedPerFlow int           // of these, of one flow; default 1024
	Memory        int64         // bytes that begun evaluations may hold; default: no limit
	Waiting       int           // host calls of one flow that wait at once; default half of BegunPerFlow
	Turn          time.Duration // how long an evaluation keeps its place when another flow wants it; default 1 ms
}

// The defaults. 64 evaluations of a policy that waits 100 ms for a registry each make 640 a second;
// a request that waits behind 1,024 others of its policy waits for longer than an API server does.
const (
	defaultBegun         = 1024
	defaultBegunPerFlow  = 64
	defaultQueued        = 4096
	defaultQueuedPerFlow = 1024
	defaultTurn          = time.Millisecond
)

// Scheduler shares places between flows. Goroutines may share it. It starts nothing and needs no
// closing.
type Scheduler struct {
	cfg Config

	// wanted is how many evaluations wait for a place. A Tick looks at it without holding mu.
	wanted atomic.Int32

	mu      sync.Mutex // guards what is below, flows and evaluations included
	free    int        // places nobody has
	clock   float64    // virtual time: that of the flow served last, in nanoseconds of guest time
	arrived uint64     // evaluations so far
	hungry  []*Flow    // those with an evaluation that waits for a place
	queues  []*Flow    // those with a request that waits to begin
	total   usage
	counted counts
	spare   []*Evaluation // that have ended, for the next ones
}

// maxSpare is how many evaluations are kept for the next ones.
const maxSpare = 64

// usage is what begun evaluations hold, of a flow or in all.
type usage struct {
	begun   int
	audits  int // of these
	running int // of these, on a place
	hungry  int // of these, waiting for a place
	calling int // of these, waiting outside for a host call
	queued  int
	memory  int64
}

// New returns a scheduler of which every place is free.
func New(cfg Config) *Scheduler {
	cfg.Places = max(cfg.Places, 1)
	cfg.Begun = cmp.Or(cfg.Begun, defaultBegun)
	cfg.BegunPerFlow = cmp.Or(cfg.BegunPerFlow, defaultBegunPerFlow)
	cfg.Queued = cmp.Or(cfg.Queued, defaultQueued)
	cfg.QueuedPerFlow = cmp.Or(cfg.QueuedPerFlow, defaultQueuedPerFlow)
	cfg.Waiting = cmp.Or(cfg.Waiting, max(cfg.BegunPerFlow/2, 1))
	cfg.Turn = cmp.Or(cfg.Turn, defaultTurn)
	return &Scheduler{cfg: cfg, free: cfg.Places}
}

// Flow is the stream of evaluations of one policy. Goroutines may share it.
type Flow struct {
	scheduler *Scheduler
	name      string
	weight    float64

	clock   float64 // virtual: nanoseconds of guest time used, by weight
	usage   usage
	waiting [classes][levels][]*Evaluation // for a place, each sorted by arrival
	queue   [classes]list.List             // of *Evaluation that wait to begin
	parking list.List                      // of *Evaluation that wait to make a host call
	typical int64                          // bytes that its evaluations come to hold
	counted counts
}

// Flow returns a new flow. The name is for errors and statistics; a flow of weight 2 is served
// twice as much as one of weight 1 when both want more than there is. A flow that nobody uses any
// more costs nothing and needs no closing.
func (s *Scheduler) Flow(name string, weight float64) *Flow {
	return &Flow{scheduler: s, name: name, weight: max(weight, 1e-3)}
}

// Class says how urgent a request is.
type Class int

// The classes. An audit runs on places that no webhook wants: for as long as webhooks want all, it
// does not run, and is refused when its time comes. Nobody's request waits for an audit's answer.
const (
	Webhook Class = iota
	Audit
	classes = 2
)

// Request is what an evaluation asks for in order to begin.
type Request struct {
	Class Class
	// Cost is how many bytes it holds from the beginning. Room is made for as many as the flow's
	// evaluations came to hold of late, where that is more.
	Cost int64
	// AnswerBy is when the client gives up; zero: never. A request that has not begun shortly
	// before is refused, so that the client is told.
	AnswerBy time.Time
}

// Evaluation is one evaluation that has begun. One goroutine at a time uses it, and nobody after
// its end, since the next one may be the same.
type Evaluation struct {
	flow    *Flow
	class   Class
	cost    int64 // bytes there is room for
	held    int64 // bytes it holds
	peak    int64 // bytes it has held at most
	starved bool  // Grow was refused
	arrival uint64

	answerBy time.Time     // when its client gives up; zero: never
	used     time.Duration // guest time
	running  bool          // it has a place
	since    time.Time     // when its use was last added to the flow's
	turn     time.Time     // when it got its place; zero: it has not run

	wake    chan struct{} // made when it first waits; a token says that it got what it waits for
	element *list.Element // in the queue it waits in, nil in none
}

// levels are the steps back of an evaluation that has used 1, 10 and 100 ms.
const levels = 4

func (e *Evaluation) level() int {
	switch {
	case e.used < time.Millisecond:
		return 0
	case e.used < 10*time.Millisecond:
		return 1
	case e.used < 100*time.Millisecond:
		return 2
	}
	return 3
}

// Begin lets an evaluation of f begin, when there is room for it; until then it waits. The caller
// ends it. The error is a *[RefusedError], or ctx's when that ends first.
func (f *Flow) Begin(ctx context.Context, r Request) (*Evaluation, error) {
	s := f.scheduler
	s.mu.Lock()
	e := s.newEvaluation()
	e.flow, e.class, e.held, e.peak, e.answerBy = f, r.Class, r.Cost, r.Cost, r.AnswerBy
	e.arrival = s.arrived
	s.arrived++
	if f.mayBegin(e) && f.queue[Webhook].Len() == 0 && (e.class == Webhook || f.queue[Audit].Len() == 0) {
		f.begin(e)
		s.mu.Unlock()
		return e, nil
	}
	if full := s.total.queued >= s.cfg.Queued || f.usage.queued >= s.cfg.QueuedPerFlow; full {
		err := f.refuse(QueueFull)
		s.mu.Unlock()
		return nil, err
	}
	f.enqueue(e)
	s.mu.Unlock()
	return f.awaitBegin(ctx, e)
}

// newEvaluation returns one that has ended and is as new, or a new one. The caller holds mu.
func (s *Scheduler) newEvaluation() *Evaluation {
	last := len(s.spare) - 1
	if last < 0 {
		return new(Evaluation)
	}
	e := s.spare[last]
	s.spare[last] = nil
	s.spare = s.spare[:last]
	*e = Evaluation{wake: e.wake}
	return e
}

// awaitBegin waits until e has begun, is refused, or ctx ends.
func (f *Flow) awaitBegin(ctx context.Context, e *Evaluation) (*Evaluation, error) {
	s := f.scheduler
	began := time.Now()
	late, stop := e.lateness()
	defer stop()
	woken, gone := false, false
	select {
	case <-e.wake:
		woken = true
	case <-late:
	case <-ctx.Done():
		gone = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waited(time.Since(began))
	if e.element == nil { // it has begun, perhaps while it was about to give up
		if !woken {
			<-e.wake
		}
		return e, nil
	}
	f.dequeue(e)
	err := ctx.Err()
	if !gone {
		err = f.refuse(NotInTime)
	}
	return nil, err
}

// lateness tells when e is refused unless it has run. The caller stops what tells it.
func (e *Evaluation) lateness() (late <-chan time.Time, stop func() bool) {
	if e.answerBy.IsZero() {
		return nil, func() bool { return true }
	}
	left := time.Until(e.answerBy)
	timer := time.NewTimer(left - margin(left))
	return timer.C, timer.Stop
}

// margin is how long before the client gives up its request is refused: time to write the answer.
func margin(left time.Duration) time.Duration {
	return max(min(left/10, 100*time.Millisecond), time.Millisecond)
}

// mayBegin tells whether there is room for e. Half of everything is closed to audits. One
// evaluation may always run, however large. The caller holds mu.
func (f *Flow) mayBegin(e *Evaluation) bool {
	s := f.scheduler
	switch {
	case f.usage.begun >= s.cfg.BegunPerFlow, !within(1, f.usage.begun, s.total.begun, s.cfg.Begun):
		return false
	case e.class == Audit && (2*f.usage.audits >= s.cfg.BegunPerFlow || 2*s.total.audits >= s.cfg.Begun):
		return false
	}
	return s.total.begun == 0 || f.fits(f.cost(e), e.class)
}

// fits tells whether f may hold so many bytes more. The caller holds mu.
func (f *Flow) fits(bytes int64, class Class) bool {
	s := f.scheduler
	switch {
	case s.cfg.Memory == 0:
		return true
	case class == Audit && s.total.memory+bytes > s.cfg.Memory/2:
		return false
	}
	return within(bytes, f.usage.memory, s.total.memory, s.cfg.Memory)
}

// within tells whether a flow that holds some of what all may hold together may have more. It may
// hold three times what nobody holds, so that something is always left for the next flow: one that
// is alone gets three quarters, two get three sevenths each, and the next finds a seventh. These
// are the dynamic thresholds of Choudhury and Hahne (IEEE/ACM Transactions on Networking, 1998).
func within[N int | int64](more, held, byAll, limit N) bool {
	return more <= limit-byAll && held+more <= 3*(limit-byAll)
}

// cost is how many bytes there must be room for before e begins. The caller holds mu.
func (f *Flow) cost(e *Evaluation) int64 { return max(e.held, f.typical) }

func (f *Flow) begin(e *Evaluation) {
	e.cost = f.cost(e)
	for _, u := range []*usage{&f.usage, &f.scheduler.total} {
		u.begun++
		u.memory += e.cost
		if e.class == Audit {
			u.audits++
		}
	}
	f.count(func(c *counts) { c.begun++ })
}

func (f *Flow) enqueue(e *Evaluation) {
	s := f.scheduler
	e.mayWait()
	e.element = f.queue[e.class].PushBack(e)
	if f.usage.queued == 0 {
		s.queues = append(s.queues, f)
	}
	f.usage.queued++
	s.total.queued++
}

func (f *Flow) dequeue(e *Evaluation) {
	s := f.scheduler
	f.queue[e.class].Remove(e.element)
	e.element = nil
	f.usage.queued--
	s.total.queued--
	if f.usage.queued == 0 {
		s.queues = slices.DeleteFunc(s.queues, func(other *Flow) bool { return other == f })
	}
}

// admit lets requests begin for which there is room now: the flow served least first. The caller
// holds mu.
func (s *Scheduler) admit() {
	for len(s.queues) > 0 && s.total.begun < s.cfg.Begun {
		var next *Evaluation
		for _, f := range s.queues {
			e := f.nextQueued()
			if f.mayBegin(e) && (next == nil || before(e.class, f, next.class, next.flow)) {
				next = e
			}
		}
		if next == nil {
			return
		}
		next.flow.dequeue(next)
		next.flow.begin(next)
		next.wake <- struct{}{}
	}
}

// before tells which of two flows is served first, each with something of a class.
func before(class Class, f *Flow, otherClass Class, other *Flow) bool {
	if class != otherClass {
		return class < otherClass
	}
	return f.virtual() < other.virtual()
}

// virtual is the clock of f, by which flows are served. One that runs nothing at present starts at
// the scheduler's: idleness earns nothing.
func (f *Flow) virtual() float64 {
	if f.usage.running+f.usage.hungry == 0 {
		return max(f.clock, f.scheduler.clock)
	}
	return f.clock
}

func (f *Flow) nextQueued() *Evaluation {
	for class := range f.queue {
		if first := f.queue[class].Front(); first != nil {
			return first.Value.(*Evaluation)
		}
	}
	return nil
}

func (e *Evaluation) mayWait() {
	if e.wake == nil {
		e.wake = make(chan struct{}, 1)
	}
}
