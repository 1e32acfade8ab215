// Package reason says why a host call failed, for refusals that people read.
package reason

import (
	"errors"

	"policy-server/sdk"
)

// Of returns err in the host's words alone, without the call they are about; other errors as they
// are.
func Of(err error) string {
	var refusal *sdk.HostError
	if errors.As(err, &refusal) {
		return refusal.Text
	}
	return err.Error()
}
