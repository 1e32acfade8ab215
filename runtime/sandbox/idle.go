package sandbox

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// IdleMemory bounds what the idle instances of all engines that share it hold. Beyond it, those go
// that have been idle for longest. Goroutines may share it.
type IdleMemory struct {
	limit int64        // bytes
	held  atomic.Int64 // bytes

	mu    sync.Mutex         // guards pools; held while one gives an instance up
	pools map[*Pool]struct{} // those that are open
}

// NewIdleMemory returns a bound of so many bytes.
func NewIdleMemory(bytes int64) *IdleMemory {
	return &IdleMemory{limit: bytes, pools: map[*Pool]struct{}{}}
}

// Held returns how many bytes idle instances hold.
func (m *IdleMemory) Held() int64 { return m.held.Load() }

func (m *IdleMemory) add(p *Pool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pools[p] = struct{}{}
}

func (m *IdleMemory) remove(p *Pool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pools, p)
}

// trim gives up instances until what is left is within the bound.
func (m *IdleMemory) trim() {
	if m.held.Load() <= m.limit {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.held.Load() > m.limit {
		var oldest *Pool
		var since time.Time
		for p := range m.pools {
			if s, idle := p.idleSince(); idle && (oldest == nil || s.Before(since)) {
				oldest, since = p, s
			}
		}
		if oldest == nil {
			return
		}
		oldest.giveUpOldest()
	}
}

// idler is an instance that waits for a call.
type idler struct {
	instance     *Instance
	bytes        int64 // it holds
	since, until time.Time
}

// idleBytes is up to what size an instance waits for as long as the pool's configuration says. A
// larger one waits for less, so that none takes more than that size for that time: making it anew
// costs tens of milliseconds, and holding it what could serve many small ones.
const idleBytes = 4 << 20

// idleTime is how long an instance waits that holds so many bytes.
func (p *Pool) idleTime(bytes int64) time.Duration {
	if bytes <= idleBytes {
		return p.cfg.Idle
	}
	return max(time.Duration(float64(p.cfg.Idle)*idleBytes/float64(bytes)), min(p.cfg.Idle, time.Second))
}

// idleSince tells since when the instance waits that has waited longest.
func (p *Pool) idleSince() (since time.Time, idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return time.Time{}, false
	}
	return p.idle[0].since, true
}

// giveUpOldest gives up the instance that has waited longest, if there still is one.
func (p *Pool) giveUpOldest() {
	p.mu.Lock()
	oldest := p.withdraw(min(len(p.idle), 1))
	p.mu.Unlock()
	for _, i := range oldest {
		p.discard(i.instance, DiscardIdle)
	}
}

// withdraw takes the n instances that have waited longest. The caller holds mu.
func (p *Pool) withdraw(n int) []idler {
	taken := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	for _, i := range taken {
		p.program.engine.shared.idle.held.Add(-i.bytes)
	}
	return taken
}

// takeIdle returns an instance that waits, or nil if there is none that may be used.
func (p *Pool) takeIdle() *Instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 || p.fresh {
		return nil
	}
	taken := p.idle[last]
	p.idle[last] = idler{}
	p.idle = p.idle[:last]
	p.program.engine.shared.idle.held.Add(-taken.bytes)
	return taken.instance
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
	p.program.engine.shared.idle.trim()
}

func (p *Pool) countReset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Resets++
}

// keep lets an instance that was reset wait for a call.
func (p *Pool) keep(i *Instance) {
	bytes, now := i.own(), time.Now()
	wait := p.idleTime(bytes)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, idler{i, bytes, now, now.Add(wait)})
	p.program.engine.shared.idle.held.Add(bytes)
	if p.trimmer == nil {
		p.trimmer, p.trimAt = time.AfterFunc(wait, p.trim), now.Add(wait)
	} else if now.Add(wait).Before(p.trimAt) {
		p.trimmer.Reset(wait)
		p.trimAt = now.Add(wait)
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

func (p *Pool) takeExpired(now time.Time) (expired []idler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var next time.Time
	p.idle = slices.DeleteFunc(p.idle, func(i idler) bool {
		if !now.Before(i.until) {
			expired = append(expired, i)
			p.program.engine.shared.idle.held.Add(-i.bytes)
			return true
		}
		if next.IsZero() || i.until.Before(next) {
			next = i.until
		}
		return false
	})
	if p.trimmer = nil; !next.IsZero() {
		p.trimmer, p.trimAt = time.AfterFunc(next.Sub(now), p.trim), next
	}
	return expired
}
