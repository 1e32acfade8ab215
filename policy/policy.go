package policy

import (
	"time"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/runtime"
)

// Policy is a definition whose module is compiled and whose settings its guest accepted. It is immutable and safe for
// concurrent use until the Set that serves it is retired.
type Policy struct {
	Definition
	module *module
	guest  *runtime.Guest // the module with the policy's own settings in its image
	calls  *hostcalls.Dispatcher
	limit  time.Duration // of one evaluation; 0: none
	log    *zap.Logger
}

// host returns what answers the host calls of one evaluation.
func (p *Policy) host() runtime.HostCall {
	return p.calls.Evaluation(string(p.ID), p.Grants, p.Resources).Call
}
