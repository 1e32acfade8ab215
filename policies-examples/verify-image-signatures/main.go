// Command verify-image-signatures is a policy that lets containers run signed images only, and pins
// them to what was verified. It takes the settings of Kubewarden's policy of that name.
package main

import (
	"strings"

	"policy-server/policies-examples/pin"
	"policy-server/policies-examples/podspec"
	"policy-server/sdk"
)

var settings = sdk.FromSettings(parseSettings)

func init() { sdk.Register(sdk.Policy{Validate: validate, CheckSettings: checkSettings}) }

func main() {}

// checkSettings asks the host about certificates only here: what is parsed is kept, and an answer
// of the host's is one for now.
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
	for _, image := range podspec.Images(r.Object().Get(path...)) {
		images.verify(image)
	}
	if len(images.failures) > 0 {
		name, _ := r.Object().Get("metadata", "name").Text()
		return sdk.Reject("Resource " + name + " is not accepted: " + strings.Join(images.failures, ", "))
	}
	if !w.pin {
		return sdk.Accept()
	}
	return pin.Images(r, func(image string) string { return images.digests[image] })
}
