// Package pin writes into objects which images were verified. It knows where images stand and what
// the API server does not let change, and verifies nothing.
package pin

import (
	"slices"
	"strings"

	"policy-server/policies-examples/podspec"
	"policy-server/sdk"
)

// Images accepts r with each image of its pods that was verified bound to its digest: "app:1"
// becomes "app:1@sha256:…". digestOf returns what was found for an image as written; "" for none.
// Images that have a digest stay as they are.
func Images(r sdk.Request, digestOf func(image string) string) sdk.Response {
	path := podspec.Path(r.Kind())
	if path == nil {
		return sdk.Accept()
	}
	object, changed := r.Object(), false
	for below, image := range podspec.Images(r.Object().Get(path...)) {
		digest, at := digestOf(image), append(slices.Clip(path), below...)
		if digest == "" || strings.Contains(image, "@") || !mayChange(r, at, image) {
			continue
		}
		var err error
		if object, err = sdk.Set(object, sdk.Quote(image+"@"+digest), at...); err != nil {
			return sdk.Fail(err)
		}
		changed = true
	}
	if !changed {
		return sdk.Accept()
	}
	return sdk.Mutate(object)
}

// mayChange reports whether an image may be written anew. One that a Pod or a Job has had before
// may not: the Pod's container would be restarted for it, and the API server would refuse every
// update of the Job.
func mayChange(r sdk.Request, at []string, image string) bool {
	kind := r.Kind().Kind
	return r.Operation() != sdk.OperationUpdate || kind != "Pod" && kind != "Job" || !r.OldObject().Get(at...).Is(image)
}
