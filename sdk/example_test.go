package sdk_test

import (
	"errors"
	"fmt"
	"strconv"

	"policy-server/sdk"
	"policy-server/sdk/sdktest"
)

// limits holds the settings of the example, parsed once.
var limits = sdk.FromSettings(func(settings sdk.Value) (int64, error) {
	n, ok := settings.Get("maxReplicas").Int()
	if !ok || n < 1 {
		return 0, errors.New(`"maxReplicas": must be an integer from 1`)
	}
	return n, nil
})

func limitReplicas(r sdk.Request) sdk.Response {
	limit, err := limits.Of(r.Settings())
	if err != nil {
		return sdk.Fail(err)
	}
	replicas, ok := r.Object().Get("spec", "replicas").Int()
	if ok && replicas > limit {
		return sdk.Reject("at most " + strconv.FormatInt(limit, 10) + " replicas are allowed")
	}
	return sdk.Accept()
}

// A policy that limits replicas, and a test of it. In a guest, Register stands in an init function.
func Example() {
	sdk.Register(sdk.Policy{Validate: limitReplicas, CheckSettings: limits.Check})

	fmt.Println(sdktest.CheckSettings(`{"maxReplicas": "three"}`))
	answer, err := sdktest.Evaluate(`{"uid": "u", "object": {"spec": {"replicas": 5}}}`, `{"maxReplicas": 3}`)
	fmt.Println(answer.Accepted, answer.Message, err)
	// Output:
	// "maxReplicas": must be an integer from 1
	// false at most 3 replicas are allowed <nil>
}

func ExampleSet() {
	pod := sdk.JSON(`{"spec":{"containers":[{"name":"web"}]}}`)
	pod, err := sdk.Set(pod, sdk.JSON(`true`), "spec", "securityContext", "runAsNonRoot")
	if err != nil {
		fmt.Println(err)
		return
	}
	pod, err = sdk.Set(pod, sdk.Quote("gold"), "metadata", "labels", "tier")
	fmt.Println(pod.Get("spec"), err)
	fmt.Println(pod.Get("metadata"))
	// Output:
	// {"containers":[{"name":"web"}],"securityContext":{"runAsNonRoot":true}} <nil>
	// {"labels":{"tier":"gold"}}
}

func ExampleValue_Each() {
	spec := sdk.JSON(`{"containers":[{"name":"web","image":"web:1"},{"name":"proxy","image":"proxy:2"}]}`)
	for container := range spec.Get("containers").Each() {
		name, _ := container.Get("name").Text()
		fmt.Println(name, container.Get("image").Is("proxy:2"))
	}
	// Output:
	// web false
	// proxy true
}
