package sandbox

import (
	"slices"
	"time"
)

// idler is an instance that waits for a call.
type idler struct {
	instance *Instance
	since    time.Time
}

// takeIdle returns an instance that waits, or nil if there is none that may be used.
func (p *Pool) takeIdle() *Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 || p.fresh {
		return nil
	}
	i := p.idle[last].instance
	p.idle[last] = idler{}
	p.idle = p.idle[:last]
	return i
}

// giveBack resets an instance and keeps it, or gives it up.
func (p *Pool) giveBack(i *Instance) {
	defer p.leave()
	if cause := i.backToImage(); cause != "" {
		p.discard(i, cause)
		return
	}
	p.countReset()
	p.keep(i)
}

func (p *Pool) countReset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Resets++
}

// keep lets an instance that was reset wait for a call.
func (p *Pool) keep(i *Instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, idler{i, time.Now()})
	if p.trimmer == nil {
		p.trimmer = time.AfterFunc(p.cfg.Idle, p.trim)
	}
}

// trim gives up the instances that have been idle for too long.
func (p *Pool) trim() {
	if !p.gate.enter() {
		return // closed: Close sees to them
	}
	defer p.gate.leave()
	for _, i := range p.takeExpired(time.Now()) {
		p.discard(i.instance, DiscardIdle)
	}
}

func (p *Pool) takeExpired(now time.Time) []idler {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].since) >= p.cfg.Idle {
		n++
	}
	expired := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if p.trimmer = nil; len(p.idle) > 0 {
		p.trimmer = time.AfterFunc(p.idle[0].since.Add(p.cfg.Idle).Sub(now), p.trim)
	}
	return expired
}
