// Command trusted-repos is a policy on where the images of containers come from: it allows or
// rejects registries, tags and images, in pods and in the templates of the controllers that make
// pods.
package main

import (
	"policy-server/policies-examples/imageref"
	"policy-server/policies-examples/podspec"
	"policy-server/sdk"
)

var settings = sdk.FromSettings(parseRules)

func init() { sdk.Register(sdk.Policy{Validate: validate, CheckSettings: settings.Check}) }

func main() {}

func validate(r sdk.Request) sdk.Response {
	rules, err := settings.Of(r.Settings())
	if err != nil {
		return sdk.Fail(err)
	}
	path := podspec.Path(r.Kind())
	if path == nil {
		return sdk.Accept()
	}
	var found findings
	for _, image := range podspec.Images(r.Object().Get(path...)) {
		ref, err := imageref.Parse(image)
		if err != nil {
			found.malformed.add(image) // the kubelet takes it no better
			continue
		}
		rules.judge(image, ref, &found)
	}
	if message := found.message(); message != "" {
		return sdk.Reject(message)
	}
	return sdk.Accept()
}
