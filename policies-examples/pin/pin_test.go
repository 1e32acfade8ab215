package pin_test

import (
	"os"
	"testing"

	"policy-server/policies-examples/pin"
	"policy-server/sdk"
	"policy-server/sdk/sdktest"
)

const digest = "sha256:89102e348749bb17a6a651a4b2a17420e1a66d2a44a675b981973d49a5af3a5e"

func TestMain(m *testing.M) {
	sdk.Register(sdk.Policy{Validate: func(r sdk.Request) sdk.Response {
		return pin.Images(r, func(image string) string {
			if image == "app:1" || image == "app@"+digest {
				return digest
			}
			return ""
		})
	}})
	os.Exit(m.Run())
}

func TestImages(t *testing.T) {
	const pinned = `"app:1@` + digest + `"`
	for name, c := range map[string]struct{ request, mutated string }{
		"verified and not":        {`{"kind":{"kind":"Pod"},"operation":"CREATE","object":{"spec":{"containers":[{"image":"nginx"},{"image":"app:1"}]}}}`, `{"spec":{"containers":[{"image":"nginx"},{"image":` + pinned + `}]}}`},
		"has a digest":            {`{"kind":{"kind":"Pod"},"operation":"CREATE","object":{"spec":{"containers":[{"image":"app@` + digest + `"}]}}}`, ""},
		"every list":              {`{"kind":{"kind":"Pod"},"operation":"CREATE","object":{"spec":{"initContainers":[{"image":"app:1"}],"ephemeralContainers":[{"image":"app:1"}]}}}`, `{"spec":{"initContainers":[{"image":` + pinned + `}],"ephemeralContainers":[{"image":` + pinned + `}]}}`},
		"image volume":            {`{"kind":{"kind":"Pod"},"operation":"CREATE","object":{"spec":{"volumes":[{"name":"v","image":{"reference":"app:1"}}]}}}`, `{"spec":{"volumes":[{"name":"v","image":{"reference":` + pinned + `}}]}}`},
		"pod has had it":          {`{"kind":{"kind":"Pod"},"operation":"UPDATE","object":{"spec":{"containers":[{"image":"app:1"}]}},"oldObject":{"spec":{"containers":[{"image":"app:1"}]}}}`, ""},
		"pod gets it":             {`{"kind":{"kind":"Pod"},"operation":"UPDATE","object":{"spec":{"containers":[{"image":"app:1"}]}},"oldObject":{"spec":{"containers":[{"image":"app:0"}]}}}`, `{"spec":{"containers":[{"image":` + pinned + `}]}}`},
		"job has had it":          {`{"kind":{"group":"batch","kind":"Job"},"operation":"UPDATE","object":{"spec":{"template":{"spec":{"containers":[{"image":"app:1"}]}}}},"oldObject":{"spec":{"template":{"spec":{"containers":[{"image":"app:1"}]}}}}}`, ""},
		"controller has had it":   {`{"kind":{"group":"batch","kind":"CronJob"},"operation":"UPDATE","object":{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"app:1"}]}}}}}},"oldObject":{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"app:1"}]}}}}}}}`, `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":` + pinned + `}]}}}}}}`},
		"kind without containers": {`{"kind":{"group":"example.com","kind":"Pod"},"operation":"CREATE","object":{"containers":[{"image":"app:1"}]}}`, ""},
		"no containers":           {`{"kind":{"kind":"Pod"},"operation":"DELETE"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := sdktest.Evaluate(c.request, "")
			if err != nil || !answer.Accepted || string(answer.MutatedObject) != c.mutated {
				t.Errorf("mutated to %s, answer %+v, error %v, expected %s", answer.MutatedObject, answer, err, c.mutated)
			}
		})
	}
}
