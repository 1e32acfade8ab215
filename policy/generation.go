package policy

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"golang.org/x/sync/errgroup"

	"policy-server/runtime"
	"policy-server/runtime/turns"
)

// unchanged reports whether p is what def describes: the same definition, and the same module.
func (l *Loader) unchanged(def Definition, s *source, p *Policy) bool {
	if !reflect.DeepEqual(p.Definition, def) {
		return false
	}
	if l.KeepTags {
		return true
	}
	identity, failure := s.identify()
	return failure == nil && identity == p.module.identity
}

// doubts are what was found out about policies that are served when they were verified again: nil
// for a digest that meets the verification config, an error for another one, nothing for one that
// need not be asked about.
type doubts map[identity]error

// verifyAgain verifies what before serves, unless it was verified under the same config and trust
// root.
func (l *Loader) verifyAgain(ctx context.Context, definitions []Definition, before *Set) doubts {
	found := doubts{}
	if before == nil || before.verification == l.Verification {
		return found
	}
	var mu sync.Mutex // guards found
	var group errgroup.Group
	group.SetLimit(verifications)
	asked := map[identity]bool{}
	for _, def := range definitions {
		p := before.entry(def.ID).policy()
		if p == nil || asked[p.module.identity] {
			continue
		}
		asked[p.module.identity] = true
		group.Go(func() error {
			_, err := l.verify(ctx, p.ID, p.module.identity.manifest)
			mu.Lock()
			defer mu.Unlock()
			found[p.module.identity] = err
			return nil
		})
	}
	_ = group.Wait() // what failed is in found
	return found
}

// verifications is how many digests are verified at the same time: their registries take the time,
// not a processor.
const verifications = 8

// about says whether p may serve on, and why that is in doubt. A policy whose signatures do not
// meet the verification config must not. One about which nothing could be learned may: it met the
// config that was in force before.
func (d doubts) about(p *Policy) (keep bool, doubt error) {
	if p == nil {
		return false, nil
	}
	doubt = d[p.module.identity]
	var refusal Refusal
	return !errors.As(doubt, &refusal), doubt
}

// Status is how a policy fares.
type Status struct {
	ID         ID
	Module     string // as written in the definition of the version that serves, or of the one that failed when none does
	Digest     string // of the manifest of the module that serves, "sha256:…"; "" when none serves, or it has no manifest
	Serving    bool   // whether a version of the policy answers requests
	Generation uint64 // of the set in which the version that serves began to; 0 when none serves
	// LastError is why the policy is not served as it is defined; nil when it is. When Serving, an
	// earlier version answers.
	LastError *LoadError
	// Turns are the evaluations of the version that serves, and Instances what they run in.
	Turns     turns.Stats
	Instances runtime.Stats
}

// entry is what a set has for one policy.
type entry struct {
	serves  evaluable  // the version that answers; nil: none
	since   uint64     // the generation of the first set that served it
	failure *LoadError // why the policy is not served as it is defined; nil when it is
}

// policy is the version that answers, nil when there is none.
func (e entry) policy() *Policy {
	p, _ := e.serves.(*Policy)
	return p
}

// takenOver is e in the next set, with what kept a new version from taking its place.
func (e entry) takenOver(failure *LoadError) entry {
	e.serves.hold()
	e.failure = failure
	return e
}

func (e entry) status(id ID) Status {
	s := Status{ID: id, LastError: e.failure}
	switch p := e.policy(); {
	case p != nil:
		s.Serving, s.Generation, s.Module, s.Digest = true, e.since, p.Module, p.module.identity.manifest.DigestStr()
		s.Instances = p.guest.Stats()
		if p.flow != nil {
			s.Turns = p.flow.Stats()
		}
	case e.failure != nil:
		s.Module = e.failure.Module
	}
	return s
}
