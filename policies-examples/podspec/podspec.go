// Package podspec finds the pod specification in the objects that hold one: pods and the built-in controllers
// that make pods. It knows where Kubernetes puts things, and judges nothing.
package podspec

import (
	"iter"

	"policy-server/sdk"
)

// Path returns where objects of kind keep their pod specification; nil for kinds that have none, among them
// kinds of the same name in groups that are not Kubernetes' own. Do not change the slice.
func Path(kind sdk.GroupVersionKind) []string {
	switch kind.Group + "/" + kind.Kind {
	case "/Pod":
		return []string{"spec"}
	case "/PodTemplate":
		return []string{"template", "spec"}
	case "/ReplicationController", "apps/Deployment", "apps/ReplicaSet", "apps/StatefulSet", "apps/DaemonSet", "batch/Job":
		return []string{"spec", "template", "spec"}
	case "batch/CronJob":
		return []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	return nil
}

// Containers yields all containers of a pod specification: ordinary, init and ephemeral ones.
func Containers(spec sdk.Value) iter.Seq[sdk.Value] {
	return func(yield func(sdk.Value) bool) {
		for list, containers := range spec.Fields() {
			switch list {
			case "containers", "initContainers", "ephemeralContainers":
			default:
				continue
			}
			for container := range containers.Each() {
				if !yield(container) {
					return
				}
			}
		}
	}
}
