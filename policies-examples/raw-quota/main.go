// Command raw-quota is a policy on requests that are not Kubernetes': who asks for how much of a
// resource, as {"user": "tonio", "resource": "cpu", "amount": 8}, is held to a quota.
package main

import (
	"strconv"

	"policy-server/sdk"
)

var settings = sdk.FromSettings(parseQuotas)

func init() { sdk.Register(sdk.Policy{Validate: validate, CheckSettings: settings.Check}) }

func main() {}

func validate(r sdk.Request) sdk.Response {
	quotas, err := settings.Of(r.Settings())
	if err != nil {
		return sdk.Fail(err)
	}
	user, hasUser := r.Raw().Get("user").Text()
	resource, hasResource := r.Raw().Get("resource").Text()
	amount, hasAmount := r.Raw().Get("amount").Int()
	if !hasUser || !hasResource || !hasAmount || amount < 0 {
		return sdk.Reject("request must have user and resource, which are strings, and amount, an integer from 0").WithCode(400)
	}
	if quota := quotas.of(user, resource); amount > quota {
		return sdk.Reject("user " + strconv.Quote(user) + " asks for " + strconv.FormatInt(amount, 10) + " of " +
			strconv.Quote(resource) + ", and the quota is " + strconv.FormatInt(quota, 10)).WithCode(403)
	}
	return sdk.Accept()
}
