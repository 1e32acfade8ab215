package sandbox

import (
	"errors"
	"maps"
)

// Mode is how a clean instance comes about.
type Mode string

// The modes. The empty one means ModeReset.
const (
	ModeReset Mode = "reset" // an instance is used again after it was reset to an image
	ModeFresh Mode = "fresh" // each call has an instance of its own
)

// Discard is why an instance did not serve another call.
type Discard string

// The causes of a discard.
const (
	DiscardSpent       Discard = "spent"       // it was made for one call: in ModeFresh, and to make an image
	DiscardTrap        Discard = "trap"        // its guest trapped, or was ended by a host function it misused
	DiscardExit        Discard = "exit"        // its guest exited
	DiscardInterrupt   Discard = "interrupt"   // its context ended first
	DiscardDescriptors Discard = "descriptors" // its guest may have changed its WASI file descriptors
	DiscardMemory      Discard = "memory"      // its memory has grown to 4 GiB, from which it cannot shrink
	DiscardReset       Discard = "reset"       // the system refused to bring its memory back
	DiscardWorn        Discard = "worn"        // the run of its command has served as often as one run may
	DiscardIdle        Discard = "idle"        // it was not needed for a while
)

// Stats is what a pool has done so far and has at present.
type Stats struct {
	Mode       Mode               // in force
	Reason     string             // why that is not ModeReset, or empty
	Instances  int                // alive
	Idle       int                // of these, waiting for a call
	Started    uint64             // instances made
	Resets     uint64             // times an instance was reset and kept
	Discards   map[Discard]uint64 // instances given up, by cause
	ImageBytes int                // size of the image's memory; for a command, of each instance's
	Method     ResetMethod        // how a memory is brought back; empty without an image
}

// Stats returns the pool's statistics. The caller may keep them.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Discards = maps.Clone(p.stats.Discards)
	s.Idle = len(p.idle)
	if s.Mode = ModeReset; p.fresh {
		s.Mode, s.Reason = ModeFresh, p.reason
	}
	return s
}

// backToImage resets i, or says why it must be given up.
func (i *Instance) backToImage() Discard {
	var (
		interrupted *InterruptedError
		exited      *ExitedError
	)
	switch {
	case i.image == nil:
		return DiscardSpent
	case errors.As(i.fault, &interrupted):
		return DiscardInterrupt
	case errors.As(i.fault, &exited) && i.held == nil:
		return DiscardExit
	case exited != nil: // how commands end
	case i.fault != nil:
		return DiscardTrap
	}
	switch {
	case i.descriptors:
		return DiscardDescriptors
	case i.held != nil && i.held.worn():
		return DiscardWorn
	}
	switch err := i.reset(); {
	case errors.Is(err, errMaximum):
		return DiscardMemory
	case err != nil:
		return DiscardReset
	}
	return ""
}
