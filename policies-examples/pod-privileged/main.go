// Command pod-privileged is a policy that refuses privileged containers, in pods and in the
// templates of the controllers that make pods.
package main

import (
	"policy-server/policies-examples/podspec"
	"policy-server/sdk"
)

func init() { sdk.Register(sdk.Policy{Validate: validate}) }

func main() {}

func validate(r sdk.Request) sdk.Response {
	path := podspec.Path(r.Kind())
	if path == nil {
		return sdk.Accept()
	}
	for container := range podspec.Containers(r.Object().Get(path...)) {
		if container.Get("securityContext", "privileged").IsTrue() {
			return sdk.Reject("Privileged container is not allowed")
		}
	}
	return sdk.Accept()
}
