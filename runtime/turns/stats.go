package turns

import "time"

// counts is what has happened so far, of a flow or in all.
type counts struct {
	begun     uint64
	refused   [3]uint64 // by Reason
	waits     uint64    // requests that waited to begin
	waited    time.Duration
	maxWaited time.Duration
	used      time.Duration
}

const notGrown = 2

// index is where a reason is counted.
func (r Reason) index() int {
	switch r {
	case QueueFull:
		return 0
	case NotInTime:
		return 1
	}
	return notGrown
}

// count counts something for f and for all. The caller holds mu.
func (f *Flow) count(do func(*counts)) {
	do(&f.counted)
	do(&f.scheduler.counted)
}

// waited counts a request that waited to begin. The caller holds mu.
func (f *Flow) waited(d time.Duration) {
	f.count(func(c *counts) {
		c.waits++
		c.waited += d
		c.maxWaited = max(c.maxWaited, d)
	})
}

// Stats is what a flow, or all of them, do at present and have done so far.
type Stats struct {
	Begun   int   // evaluations that have begun and not ended
	Running int   // of these, on a place
	Hungry  int   // of these, waiting for a place
	Calling int   // of these, waiting outside for a host call
	Queued  int   // requests that wait to begin
	Memory  int64 // bytes that begun evaluations hold

	EverBegun uint64
	Refused   map[Reason]uint64 // requests, and for NotGrown instances
	Waits     uint64            // requests that waited to begin
	Waited    time.Duration     // by these, in all
	MaxWaited time.Duration
	Used      time.Duration // guest time
}

func newStats(u usage, c counts) Stats {
	return Stats{
		Begun: u.begun, Running: u.running, Hungry: u.hungry, Calling: u.calling, Queued: u.queued, Memory: u.memory,
		EverBegun: c.begun, Waits: c.waits, Waited: c.waited, MaxWaited: c.maxWaited, Used: c.used,
		Refused: map[Reason]uint64{
			QueueFull: c.refused[QueueFull.index()], NotInTime: c.refused[NotInTime.index()], NotGrown: c.refused[notGrown],
		},
	}
}

// Stats returns those of all flows together. The caller may keep them.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return newStats(s.total, s.counted)
}

// Stats returns those of the flow. The caller may keep them.
func (f *Flow) Stats() Stats {
	f.scheduler.mu.Lock()
	defer f.scheduler.mu.Unlock()
	return newStats(f.usage, f.counted)
}
