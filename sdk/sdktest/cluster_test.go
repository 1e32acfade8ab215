package sdktest_test

import (
	"strings"
	"testing"

	"policy-server/sdk"
	"policy-server/sdk/sdktest"
)

func TestCluster(t *testing.T) {
	host := sdktest.Cluster(
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b","namespace":"n","labels":{"app":"web","tier":"front"}}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","labels":{"app":"db"}}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"c","namespace":"m"}}`,
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"}}`,
	).Host()
	for payload, want := range map[string]string{
		`{"api_version":"v1","kind":"Pod"}`:                                            "c a b",
		`{"api_version":"v1","kind":"Pod","namespace":"n"}`:                            "a b",
		`{"api_version":"v1","kind":"Pod","label_selector":"app=web"}`:                 "b",
		`{"api_version":"v1","kind":"Pod","label_selector":"app==web,tier"}`:           "b",
		`{"api_version":"v1","kind":"Pod","label_selector":"app!=web"}`:                "c a",
		`{"api_version":"v1","kind":"Pod","label_selector":"!app","field_masks":null}`: "c",
		`{"api_version":"v1","kind":"Namespace"}`:                                      "n",
		`{"api_version":"apps/v1","kind":"Pod"}`:                                       "",
	} {
		operation := "list_resources_all"
		if strings.Contains(payload, `"namespace"`) {
			operation = "list_resources_by_namespace"
		}
		list, err := host("kubernetes", operation, sdk.JSON(payload))
		var names []string
		for item := range list.Get("items").Each() {
			name, _ := item.Get("metadata", "name").Text()
			names = append(names, name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %q, %v, expected %q", payload, got, err, want)
		}
	}
	for payload, want := range map[string]string{
		`{"api_version":"v1","kind":"Pod","name":"a","namespace":"n"}`:       "",
		`{"api_version":"v1","kind":"Namespace","name":"n","namespace":"x"}`: "",
		`{"api_version":"v1","kind":"Pod","name":"a","namespace":"m"}`:       `Callback evaluation failure: Cannot find v1/Pod named 'a' inside of namespace 'Some("m")'`,
		`{"api_version":"v1","kind":"Namespace","name":"m"}`:                 `Callback evaluation failure: Cannot find v1/Namespace named 'm' inside of namespace 'None'`,
	} {
		object, err := host("kubernetes", "get_resource", sdk.JSON(payload))
		if (err == nil) != (want == "") || err != nil && err.Error() != want || err == nil && object.Kind() != sdk.Object {
			t.Errorf("%s: %s, %v, expected %q", payload, object, err, want)
		}
	}
	for payload, want := range map[string]string{
		`{"api_version":"v1","kind":"Pod","label_selector":"app in (a)"}`:      "does not know selectors",
		`{"api_version":"v1","kind":"Pod","field_selector":"metadata.name=a"}`: "knows no field selectors",
	} {
		if _, err := host("kubernetes", "list_resources_all", sdk.JSON(payload)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", payload, err)
		}
	}
	if _, err := host("kubernetes", "can_i", sdk.Value{}); err == nil || !strings.HasPrefix(err.Error(), "Policy has not been granted access to the 'kubernetes/can_i'") {
		t.Errorf("what nobody answers: %v", err)
	}
	if _, err := host("tracing", "log", sdk.Value{}); err != nil {
		t.Errorf("the log: %v", err)
	}
}
