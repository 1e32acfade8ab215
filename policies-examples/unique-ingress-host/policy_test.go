package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"policy-server/sdk"
	"policy-server/sdk/sdktest"
)

func TestCases(t *testing.T) { sdktest.RunCases(t, "cases") }

// ingress returns an Ingress in JSON. A host "" is a rule for any.
func ingress(namespace, name string, hosts ...string) string {
	rules := make([]string, len(hosts))
	for i, host := range hosts {
		if rules[i] = "{}"; host != "" {
			rules[i] = fmt.Sprintf(`{"host":%q}`, host)
		}
	}
	return fmt.Sprintf(`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"namespace":%q,"name":%q},"spec":{"rules":[%s]}}`,
		namespace, name, strings.Join(rules, ","))
}

func review(operation, namespace, name string, hosts ...string) string {
	return fmt.Sprintf(`{"kind":{"group":"networking.k8s.io","version":"v1","kind":"Ingress"},"operation":%q,"namespace":%q,"name":%q,"object":%s}`,
		operation, namespace, name, ingress(namespace, name, hosts...))
}

func TestConflicts(t *testing.T) {
	cluster := sdktest.Cluster(
		ingress("shop", "web", "shop.example", "www.shop.example"),
		ingress("shop", "old", "shop.example"),
		ingress("blog", "any", ""),
		`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"namespace":"blog","name":"bare"}}`,
	).Host()
	for name, c := range map[string]struct{ request, want string }{
		"free host":                  {review("CREATE", "blog", "web", "blog.example"), ""},
		"no host":                    {review("CREATE", "blog", "web", ""), ""},
		"host of another namespace":  {review("CREATE", "blog", "web", "blog.example", "www.shop.example"), `host "www.shop.example" belongs to Ingress "shop/web"`},
		"host of the same namespace": {review("CREATE", "shop", "new", "www.shop.example"), `host "www.shop.example" belongs to Ingress "shop/web"`},
		"the first of two owners":    {review("CREATE", "blog", "web", "shop.example"), `host "shop.example" belongs to Ingress "shop/old"`},
		"several hosts":              {review("CREATE", "blog", "web", "www.shop.example", "shop.example"), `host "www.shop.example" belongs to Ingress "shop/web"; host "shop.example" belongs to Ingress "shop/old"`},
		"its own host":               {review("UPDATE", "shop", "web", "www.shop.example"), ""},
		"its own and another's":      {review("UPDATE", "shop", "web", "www.shop.example", "shop.example"), `host "shop.example" belongs to Ingress "shop/old"`},
		"name to be generated":       {review("CREATE", "shop", "", "www.shop.example"), `host "www.shop.example" belongs to Ingress "shop/web"`},
		"same name elsewhere":        {review("CREATE", "blog", "web", "www.shop.example"), `host "www.shop.example" belongs to Ingress "shop/web"`},
		"host given twice":           {review("CREATE", "blog", "web", "www.shop.example", "www.shop.example"), `host "www.shop.example" belongs to Ingress "shop/web"`},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := cluster.Evaluate(c.request, "")
			if err != nil || answer.Accepted != (c.want == "") || answer.Message != c.want {
				t.Errorf("answer %+v, error %v, expected %q", answer, err, c.want)
			}
		})
	}
}

// TestWithoutCluster holds that a list which cannot be had decides nothing.
func TestWithoutCluster(t *testing.T) {
	host := sdktest.Host(func(string, string, sdk.Value) (sdk.Value, error) { return sdk.Value{}, errors.New("no cluster") })
	_, err := host.Evaluate(review("CREATE", "blog", "web", "blog.example"), "")
	if want := "guest call failure: host call kubernetes/list_resources_all: no cluster"; err == nil || err.Error() != want {
		t.Errorf("error is %v, expected %s", err, want)
	}
}

// TestAsksForHostsOnly holds that of a large cluster's Ingresses only the hosts travel.
func TestAsksForHostsOnly(t *testing.T) {
	asked := ""
	host := sdktest.Host(func(namespace, operation string, payload sdk.Value) (sdk.Value, error) {
		asked = namespace + "/" + operation + " " + payload.Raw()
		return sdk.JSON(`{"items":[]}`), nil
	})
	if _, err := host.Evaluate(review("CREATE", "blog", "web", "blog.example"), ""); err != nil {
		t.Fatal(err)
	}
	if want := `kubernetes/list_resources_all {"api_version":"networking.k8s.io/v1","kind":"Ingress","field_masks":["spec.rules.host"]}`; asked != want {
		t.Errorf("asked %s, expected %s", asked, want)
	}
}
