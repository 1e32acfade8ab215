// Package podspec finds the pod specification in the objects that hold one: pods and the built-in
// controllers that make pods. It knows where Kubernetes puts things, and judges nothing.
package podspec

import (
	"iter"
	"strconv"

	"policy-server/sdk"
)

// Path returns where objects of kind keep their pod specification; nil for kinds that have none,
// among them kinds of the same name in groups that are not Kubernetes' own. Do not change the
// slice.
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
		for list, elements := range spec.Fields() {
			if !holdsContainers(list) {
				continue
			}
			for container := range elements.Each() {
				if !yield(container) {
					return
				}
			}
		}
	}
}

func holdsContainers(list string) bool {
	return list == "containers" || list == "initContainers" || list == "ephemeralContainers"
}

// Images yields all images that a pod specification names, with the path of each below the
// specification: those of its containers, and those that volumes of type image mount. A template
// may name none where somebody else fills it in.
func Images(spec sdk.Value) iter.Seq2[[]string, string] {
	return func(yield func([]string, string) bool) {
		for list, elements := range spec.Fields() {
			var below []string // from an element to its image
			switch {
			case holdsContainers(list):
				below = []string{"image"}
			case list == "volumes":
				below = []string{"image", "reference"}
			default:
				continue
			}
			at := 0
			for element := range elements.Each() {
				image, _ := element.Get(below...).Text()
				if image != "" && !yield(append([]string{list, strconv.Itoa(at)}, below...), image) {
					return
				}
				at++
			}
		}
	}
}
