// Command verify-image-signatures is a policy that lets containers run signed images only, and pins them to what was
// verified. It takes the settings of Kubewarden's policy of that name.
package main

import (
	"strings"

	"policy-server/policies-examples/podspec"
	"policy-server/sdk"
)

var settings = sdk.FromSettings(parseSettings)

func init() { sdk.Register(sdk.Policy{Validate: validate, CheckSettings: checkSettings}) }

func main() {}

// checkSettings asks the host about certificates only here: what is parsed is kept, and an answer of the host's is one
// for now.
func checkSettings(value sdk.Value) error {
	w, err := settings.Of(value)
	if err != nil {
		return err
	}
	return w.checkCertificates()
}

func validate(r sdk.Request) sdk.Response {
	w, err := settings.Of(r.Settings())
	if err != nil {
		return sdk.Fail(err)
	}
	path := podspec.Path(r.Kind())
	if path == nil {
		return sdk.Accept()
	}
	images := &images{signatures: w.signatures}
	for container := range podspec.Containers(r.Object().Get(path...)) {
		if image, _ := container.Get("image").Text(); image != "" {
			images.verify(image)
		}
	}
	if len(images.failures) > 0 {
		name, _ := r.Object().Get("metadata", "name").Text()
		return sdk.Reject("Resource " + name + " is not accepted: " + strings.Join(images.failures, ", "))
	}
	if !w.pin {
		return sdk.Accept()
	}
	return pin(r, path, images)
}

// pin writes into the object, whose pod specification is at path, what was verified.
func pin(r sdk.Request, path []string, images *images) sdk.Response {
	object, changed := r.Object(), false
	for place, container := range podspec.Placed(r.Object().Get(path...)) {
		image, _ := container.Get("image").Text()
		pinned := images.pinned(image)
		if at := place.Path(path, "image"); pinned != image && mayChange(r, at, image) {
			var err error
			if object, err = sdk.Set(object, sdk.Quote(pinned), at...); err != nil {
				return sdk.Fail(err)
			}
			changed = true
		}
	}
	if !changed {
		return sdk.Accept()
	}
	return sdk.Mutate(object)
}

// mayChange reports whether an image may be written anew. One that a Pod or a Job has had before may not: the Pod's
// container would be restarted for it, and the API server would refuse every update of the Job.
func mayChange(r sdk.Request, at []string, image string) bool {
	kind := r.Kind().Kind
	return r.Operation() != sdk.OperationUpdate || kind != "Pod" && kind != "Job" || !r.OldObject().Get(at...).Is(image)
}
