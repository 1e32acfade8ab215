// Package podspec finds the pod specification in the objects that hold one: pods and the built-in controllers
// that make pods. It knows where Kubernetes puts things, and judges nothing.
package podspec

import (
	"iter"
	"slices"
	"strconv"

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
		for _, container := range Placed(spec) {
			if !yield(container) {
				return
			}
		}
	}
}

// A Place is where a container stands in a pod specification.
type Place struct {
	List  string // the name of its list
	Index int
}

// Path returns the path of the container's member in an object whose pod specification is at spec.
func (p Place) Path(spec []string, member string) []string {
	return append(slices.Clip(spec), p.List, strconv.Itoa(p.Index), member)
}

// Placed yields all containers of a pod specification with their places.
func Placed(spec sdk.Value) iter.Seq2[Place, sdk.Value] {
	return func(yield func(Place, sdk.Value) bool) {
		for list, containers := range spec.Fields() {
			switch list {
			case "containers", "initContainers", "ephemeralContainers":
			default:
				continue
			}
			at := 0
			for container := range containers.Each() {
				if !yield(Place{list, at}, container) {
					return
				}
				at++
			}
		}
	}
}
