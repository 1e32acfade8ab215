package policy

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// reportEvery is how often a load that takes its time says what it waits for.
const reportEvery = 10 * time.Second

// maxReported is how many policies one such line names.
const maxReported = 10

// position is the stage that a policy, or a module for several, is at.
type position struct{ stage atomic.Pointer[Stage] }

func (p *position) at(stage Stage) { p.stage.Store(&stage) }

// pending is the policies that are being loaded.
type pending struct {
	log   *zap.Logger
	began time.Time

	mu     sync.Mutex
	places map[ID]*position
}

// report has the log told every so often what is waited for, until stop is called.
func (p *pending) report() (stop func()) {
	ticker, ended := time.NewTicker(reportEvery), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				p.log.Info("still loading policies", zap.Strings("waiting_for", p.waitingFor()), zap.Duration("elapsed", time.Since(p.began)))
			case <-ended:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(ended)
	}
}

// is says where a policy stands.
func (p *pending) is(id ID, at *position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places[id] = at
}

func (p *pending) done(id ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.places, id)
}

// waitingFor lists policies with their stages, the first by name.
func (p *pending) waitingFor() (policies []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, at := range p.places {
		if stage := at.stage.Load(); stage != nil {
			policies = append(policies, fmt.Sprintf("%s: %s", id, *stage))
		}
	}
	slices.Sort(policies)
	if more := len(policies) - maxReported; more > 0 {
		policies = append(policies[:maxReported], fmt.Sprintf("and %d more", more))
	}
	return policies
}
