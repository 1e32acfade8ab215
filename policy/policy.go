package policy

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/runtime"
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
	owners owners // the sets that serve it
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

func (p *Policy) mode() Mode { return p.Mode }

func (p *Policy) hold() { p.owners.hold() }
