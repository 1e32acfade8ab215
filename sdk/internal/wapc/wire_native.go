//go:build !wasip1

package wapc

import "errors"

// callOut reaches no host outside WebAssembly.
func callOut(_, _, _ string) (string, error) {
	return "", errors.New("no host is there to answer; in tests, call the policy through package sdktest")
}
