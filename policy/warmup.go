package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/runtime"
)

// guestConfig says how def's instances come about.
func (l *Loader) guestConfig(def Definition) runtime.GuestConfig {
	return runtime.GuestConfig{
		Mode:        cmp.Or(def.Sandbox, l.Sandbox),
		MemoryLimit: def.MemoryLimit,
		WarmUpHost:  warmUpHost,
	}
}

// warmUpHost serves host calls while an image is made: a log line is swallowed, everything else
// fails, whatever the policy's grants, because nothing of a request that no client sent may reach
// the outside or become part of the image.
func warmUpHost(_ context.Context, namespace, operation string, _ []byte) ([]byte, error) {
	if namespace == "tracing" && operation == "log" {
		return nil, nil
	}
	return nil, errors.New("no host calls while the policy is warmed up")
}

// The requests a policy is warmed up with: what SDKs decode first, and nothing a user sent. There
// are two of each, %s being what they differ in, so that a guest which keeps its first request in
// the image is found out by the second.
const (
	warmUpReview = `{"uid":"","kind":{"group":"","kind":"Pod","version":"v1"},"name":"%[1]s","namespace":"default","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%[1]s","namespace":"default"},"spec":{"containers":[{"image":"%[1]s","name":"name"}]}},"operation":"CREATE","resource":{"group":"","resource":"pods","version":"v1"},"userInfo":{}}`
	warmUpRaw    = `{"uid":"%s"}`
)

// warmUpRequests returns the requests that suit a module.
func warmUpRequests(m Metadata) (requests []*admission.Request) {
	template, parse := warmUpReview, admission.ParseRequest
	if m.PolicyType == "raw" {
		template, parse = warmUpRaw, admission.ParseRaw
	}
	for _, name := range []string{"warm-up", "another-one"} {
		if request, err := parse(fmt.Appendf(nil, template, name)); err == nil { // they are constants
			requests = append(requests, request)
		}
	}
	return requests
}

// warmGuests are the guests that policies of one load are served by. Policies that differ in their
// names and in what they may do, and in nothing that their image depends on, share one: the same
// policy for each of a thousand namespaces is warmed up once.
type warmGuests struct {
	mu     sync.Mutex
	guests map[warmKey]*warmGuest
}

// warmKey is what an image depends on.
type warmKey struct {
	module   *module
	settings string
	config   string        // what of it a definition may say
	limit    time.Duration // within which a step is worth keeping
}

type warmGuest struct {
	once  sync.Once
	guest *runtime.Guest
	err   error
}

// up gives p its guest, warmed up for p or for another policy that is alike.
func (w *warmGuests) up(ctx context.Context, p *Policy, config runtime.GuestConfig) (err error) {
	key := warmKey{p.module, string(p.Settings), fmt.Sprint(config.Mode, config.MemoryLimit), p.limit}
	w.mu.Lock()
	warm, found := w.guests[key]
	if !found {
		warm = new(warmGuest)
		w.guests[key] = warm
	}
	w.mu.Unlock()
	warm.once.Do(func() {
		if p.guest, err = p.module.compiled.NewGuest(config); err == nil {
			p.warmUp(ctx)
			err = p.guest.EndWarmUp(ctx)
		}
		warm.guest, warm.err = p.guest, err
	})
	switch {
	case warm.err != nil:
		return warm.err
	case p.guest == nil:
		p.guest, err = warm.guest.Another(ctx)
	}
	if err == nil {
		p.logMode()
	}
	return err
}

// warmUp lets the guest do, before it serves, what it does once: parse its settings, and whatever
// its language puts off to the first call. What of that becomes part of the image is the guest's to
// prove (runtime.Guest.WarmUp); a guest that cannot is as good as before, only slower.
func (p *Policy) warmUp(ctx context.Context) {
	if p.guest.Stats().Mode == runtime.ModeFresh {
		return // there is no image
	}
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	dialect := p.module.dialect
	// That the settings are good is known: they are checked again for what the guest keeps of it.
	_ = dialect.checkSettings(p.Settings, func(question runtime.Question) (runtime.Answer, error) {
		return p.warmUpWith(ctx, question)
	})
	for _, request := range warmUpRequests(p.module.metadata) {
		if question, err := dialect.question(ctx, p, request); err == nil {
			_, _ = p.warmUpWith(ctx, question) // its failure is logged
		}
	}
}

// logMode says when the policy has no image, and why.
func (p *Policy) logMode() {
	if stats := p.guest.Stats(); stats.Reason != "" {
		p.log.Info("policy runs in a new instance for each request", zap.String("policy_id", string(p.ID)), zap.String("reason", stats.Reason))
	}
}

// warmUpWith has the guest answer one question before it serves, if it does so within an
// evaluation's limit: proving an image takes several runs, and none is worth waiting for here.
func (p *Policy) warmUpWith(ctx context.Context, question runtime.Question) (runtime.Answer, error) {
	limited, cancel := p.limited(ctx)
	defer cancel()
	answer, err := p.module.compiled.Call(limited, question, warmUpHost)
	if errors.Is(err, context.DeadlineExceeded) {
		return answer, err
	}
	answer, err = p.guest.WarmUp(ctx, question)
	if err != nil {
		p.log.Debug("policy not warmed up", zap.String("policy_id", string(p.ID)),
			zap.String("operation", string(question.Operation)), zap.Error(err))
	}
	return answer, err
}
