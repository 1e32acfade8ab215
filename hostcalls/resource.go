package hostcalls

import (
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// Resource is a kind of Kubernetes object, as policies and their operators name it: {"v1", "Pod"},
// {"apps/v1", "Deployment"}.
type Resource struct{ APIVersion, Kind string }

func (r Resource) String() string { return r.APIVersion + "/" + r.Kind }

// checkReads returns an error unless reads was granted, letter for letter, or is nothing.
func (c *Caller) checkReads(reads Resource) error {
	if reads == (Resource{}) || slices.Contains(c.resources, reads) {
		return nil
	}
	c.denials.write(c.dispatcher.log, c.policy, "Policy tried to access a Kubernetes resource it doesn't have access to",
		deniedName("resource_requested", reads.String()), zap.Stringers("resources_allowed", c.resources))
	return &ReadDeniedError{Resource: reads}
}

// ReadDeniedError reports a read of a kind of Kubernetes object that the policy was not granted.
type ReadDeniedError struct{ Resource Resource }

func (e *ReadDeniedError) Error() string {
	return fmt.Sprintf("Policy has not been granted access to Kubernetes %s resources. The violation has been reported.", e.Resource)
}
