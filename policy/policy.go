package policy

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/runtime"
	"policy-server/runtime/turns"
)

// Policy is a definition whose module is compiled and whose settings its guest accepted. It is
// immutable and safe for concurrent use until no Set serves it any more.
type Policy struct {
	Definition
	module *module
	guest  *runtime.Guest // the module with the policy's own settings in its image
	calls  *hostcalls.Dispatcher
	limit  time.Duration // of one evaluation; 0: none
	log    *zap.Logger
	owners owners      // the sets that serve it
	flow   *turns.Flow // its evaluations among those of others; nil: it shares with none
}

// release gives the policy up. The last owner closes its guest; no evaluation may be running then.
func (p *Policy) release(ctx context.Context) error {
	if !p.owners.giveUp() {
		return nil
	}
	return errors.Join(p.guest.Close(ctx), p.module.release(ctx))
}

// host returns what answers the host calls of one evaluation.
func (p *Policy) host() *hostcalls.Caller {
	return p.calls.Evaluation(string(p.ID), p.Grants, p.Resources)
}

// begin waits for room and a place. What will not begin in time is refused before the client, or
// the policy's own limit, gives up.
func (p *Policy) begin(ctx context.Context, event *Event) (*turns.Evaluation, error) {
	if p.flow == nil {
		return nil, ctx.Err()
	}
	request := turns.Request{Class: turns.Webhook, Cost: p.guest.StartBytes()}
	if event.Origin == FromAudit {
		request.Class = turns.Audit
	}
	if deadline, ok := ctx.Deadline(); ok {
		request.AnswerBy = deadline
	}
	if p.limit > 0 {
		if own := time.Now().Add(p.limit); request.AnswerBy.IsZero() || own.Before(request.AnswerBy) {
			request.AnswerBy = own
		}
	}
	turn, err := p.flow.Begin(ctx, request)
	if err != nil {
		return nil, err
	}
	return turn, turn.Acquire(ctx)
}

func (p *Policy) mode() Mode { return p.Mode }

func (p *Policy) hold() { p.owners.hold() }
