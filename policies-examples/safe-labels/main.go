// Command safe-labels is a policy on the labels of objects: some are denied, some mandatory, some
// must match a regular expression.
package main

import (
	"strings"

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
	if !r.Object().Exists() {
		return sdk.Accept() // a DELETE leaves nothing to label
	}
	if faults := rules.faults(r.Object().Get("metadata", "labels")); len(faults) > 0 {
		return sdk.Reject(strings.Join(faults, "; "))
	}
	return sdk.Accept()
}
