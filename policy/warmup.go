package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

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

// warmUpHost serves host calls while an image is made: a log line is swallowed, everything else fails, whatever the
// policy's grants, because nothing of a request that nobody sent may reach the outside or become part of the image.
func warmUpHost(_ context.Context, namespace, operation string, _ []byte) ([]byte, error) {
	if namespace == "tracing" && operation == "log" {
		return nil, nil
	}
	return nil, errors.New("no host calls while the policy is warmed up")
}

// The requests a policy is warmed up with: what SDKs decode first, and nothing a user sent. There are two of each, %s being
// what they differ in, so that a guest which keeps its first request in the image is found out by the second.
const (
	warmUpReview = `{"uid":"","kind":{"group":"","kind":"Pod","version":"v1"},"name":"%[1]s","namespace":"default","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%[1]s","namespace":"default"},"spec":{"containers":[{"image":"%[1]s","name":"name"}]}},"operation":"CREATE","resource":{"group":"","resource":"pods","version":"v1"},"userInfo":{}}`
	warmUpRaw    = `{"uid":"%s"}`
)

// warmUp lets the guest do, before it serves, what it does once: parse its settings, and whatever its language puts off
// to the first call. What of that becomes part of the image is the guest's to prove (runtime.Guest.WarmUp); a guest that cannot
// is as good as before, only slower.
func (p *Policy) warmUp(ctx context.Context) {
	if p.guest.Stats().Mode == runtime.ModeFresh {
		return // there is no image
	}
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	request := warmUpReview
	if p.module.metadata.PolicyType == "raw" {
		request = warmUpRaw
	}
	payload := func(name string) []byte {
		return fmt.Appendf(nil, `{"request":%s,"settings":%s}`, fmt.Sprintf(request, name), p.Settings)
	}
	for _, step := range []struct {
		operation runtime.Operation
		payload   []byte
	}{{runtime.ValidateSettings, p.Settings}, {runtime.Validate, payload("warm-up")}, {runtime.Validate, payload("another-one")}} {
		if !p.answersInTime(ctx, step.operation, step.payload) {
			continue // proving an image takes several runs; none is worth waiting for here
		}
		if _, err := p.guest.WarmUp(ctx, step.operation, step.payload); err != nil {
			p.log.Debug("policy not warmed up", zap.String("policy_id", string(p.ID)), zap.String("operation", string(step.operation)), zap.Error(err))
		}
	}
	if stats := p.guest.Stats(); stats.Reason != "" {
		p.log.Info("policy runs in a new instance for each request", zap.String("policy_id", string(p.ID)), zap.String("reason", stats.Reason))
	}
}

// answersInTime reports whether the guest performs operation within an evaluation's limit.
func (p *Policy) answersInTime(ctx context.Context, operation runtime.Operation, payload []byte) bool {
	if p.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.limit)
		defer cancel()
	}
	_, err := p.module.compiled.Call(ctx, operation, payload, warmUpHost)
	return !errors.Is(err, context.DeadlineExceeded)
}
