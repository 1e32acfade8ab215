// Command default-seccomp is a policy that gives pods a seccomp profile when they have none.
package main

import (
	"policy-server/policies-examples/podspec"
	"policy-server/sdk"
)

var settings = sdk.FromSettings(parseProfile)

func init() { sdk.Register(sdk.Policy{Validate: validate, CheckSettings: settings.Check}) }

func main() {}

func validate(r sdk.Request) sdk.Response {
	profile, err := settings.Of(r.Settings())
	if err != nil {
		return sdk.Fail(err)
	}
	path := podspec.Path(r.Kind())
	if path == nil || !mayChange(r) || !needsProfile(r.Object().Get(path...)) {
		return sdk.Accept()
	}
	var buffer [8]string // the longest path is a cron job's, of seven
	object, err := sdk.Set(r.Object(), profile, append(append(buffer[:0], path...), "securityContext", "seccompProfile")...)
	if err != nil {
		return sdk.Fail(err)
	}
	return sdk.Mutate(object)
}

// mayChange reports whether the API server would take a new profile. The security context of a pod,
// and the template of a job, are fixed once they are created: a mutation would make every later
// update fail.
func mayChange(r sdk.Request) bool {
	switch r.Operation() {
	case sdk.OperationCreate:
		return true
	case sdk.OperationUpdate:
		return r.Kind().Kind != "Pod" && r.Kind().Kind != "Job"
	}
	return false
}

// needsProfile reports whether some container of the pod would run without a profile. Windows has
// none, and Kubernetes refuses one there.
func needsProfile(spec sdk.Value) bool {
	if hasProfile(spec) || spec.Get("os", "name").Is("windows") {
		return false
	}
	for container := range podspec.Containers(spec) {
		if !hasProfile(container) {
			return true
		}
	}
	return false
}

// hasProfile reports whether a pod's specification or a container states a profile.
func hasProfile(owner sdk.Value) bool {
	return owner.Get("securityContext", "seccompProfile").Kind() == sdk.Object
}
