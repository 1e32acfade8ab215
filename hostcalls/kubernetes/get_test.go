package kubernetes_test

import (
	"fmt"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"policy-server/hostcalls/kubernetes"
)

func TestGet(t *testing.T) {
	s := newAPIServer(t)
	s.puts(service, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"customer-1"}}`)
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Service", "v1 Namespace", "v1 Secret")
	t.Run("as the API server has it", func(t *testing.T) {
		answer := p.gets("get_resource", fmt.Sprintf(getService, false))
		if !strings.Contains(answer, `"managedFields":[{"manager":"kubectl"}]`) || !strings.Contains(answer, `"kind":"Service"`) {
			t.Errorf("answer %s", answer)
		}
	})
	t.Run("masks apply to what is remembered", func(t *testing.T) {
		s.asked()
		answer := p.gets("get_resource", `{"api_version":"v1","kind":"Service","name":"api-auth-service","namespace":"customer-1","disable_cache":false,"field_masks":["spec.clusterIP","metadata.name"]}`)
		sameJSON(t, answer, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"api-auth-service","namespace":"customer-1","resourceVersion":"101","managedFields":[{"manager":"kubectl"}]},"spec":{"clusterIP":"192.0.2.1"}}`)
		if requests := s.asked(); len(requests) != 0 {
			t.Errorf("asked %q", requests)
		}
	})
	t.Run("a namespace is ignored where there is none", func(t *testing.T) {
		for _, namespace := range []string{`null`, `"elsewhere"`, `""`} {
			answer := p.gets("get_resource", `{"api_version":"v1","kind":"Namespace","name":"customer-1","namespace":`+namespace+`}`)
			if !strings.Contains(answer, `"name":"customer-1"`) {
				t.Errorf("answer %s", answer)
			}
		}
	})
	s.fails("GET /api/v1/namespaces/customer-1/secrets/s", failure{403, metav1.StatusReasonForbidden, `secrets "s" is forbidden`})
	for name, c := range map[string]struct{ payload, want string }{
		"51 no namespace":             {`{"api_version":"v1","kind":"Service","name":"x","disable_cache":false}`, failed + "Resource v1/Service is namespaced, but no namespace was provided"},
		"51 not found":                {`{"api_version":"v1","kind":"Service","name":"x","namespace":"customer-1","disable_cache":false}`, failed + `Cannot find v1/Service named 'x' inside of namespace 'Some("customer-1")'`},
		"51 not found, cluster":       {`{"api_version":"v1","kind":"Namespace","name":"x","disable_cache":true}`, failed + `Cannot find v1/Namespace named 'x' inside of namespace 'None'`},
		"without permission":          {`{"api_version":"v1","kind":"Secret","name":"s","namespace":"customer-1"}`, failed + `secrets "s" is forbidden`},
		"a name that leads elsewhere": {`{"api_version":"v1","kind":"Service","name":"../secrets/s","namespace":"customer-1"}`, failed + `invalid resource name "../secrets/s"`},
		"no name":                     {`{"api_version":"v1","kind":"Service"}`, "decode get request: missing field `name`"},
		"empty name":                  {`{"api_version":"v1","kind":"Service","name":"","namespace":"customer-1"}`, failed + "resource name may not be empty"},
		"no payload":                  {``, "decode get request: "},
	} {
		t.Run(name, func(t *testing.T) { p.fails("get_resource", c.payload, c.want) })
	}
}

func TestGet_remembers(t *testing.T) {
	s := newAPIServer(t)
	s.puts(service)
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Service")
	p.gets("get_resource", fmt.Sprintf(getService, true))
	s.asked()
	count := func(payload string, times int) int {
		for range times {
			_, _ = p.calls("get_resource", payload) // failures are what some of the cases are about
		}
		return len(s.asked())
	}
	if n := count(fmt.Sprintf(getService, false), 2); n != 1 {
		t.Errorf("52: %d requests with the cache, expected 1", n)
	}
	if n := count(fmt.Sprintf(getService, true), 2); n != 2 {
		t.Errorf("52: %d requests without the cache, expected 2", n)
	}
	if n := count(`{"api_version":"v1","kind":"Service","name":"none","namespace":"customer-1"}`, 2); n != 2 {
		t.Errorf("%d requests for what is not there, expected 2", n)
	}
}

func TestCanI(t *testing.T) {
	s := newAPIServer(t)
	s.decides(&authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "RBAC"})
	p := newPolicy(t, s.opens(kubernetes.Config{}))
	const payload = `{"subject_access_review":{"user":"u","groups":["g"],%q:{"verb":"create","resource":"pods","namespace":"kube-system","group":"","subresource":null}},"disable_cache":%t}`
	snake, camel := fmt.Sprintf(payload, "resource_attributes", false), fmt.Sprintf(payload, "resourceAttributes", false)
	if answer := p.gets("can_i", snake); answer != `{"allowed":true,"reason":"RBAC"}` {
		t.Errorf("answer %s", answer)
	}
	if answer := p.gets("can_i", camel); answer != `{"allowed":true,"reason":"RBAC"}` || len(s.reviews()) != 1 {
		t.Errorf("54: answer %s after %d reviews", answer, len(s.reviews()))
	}
	p.gets("can_i", fmt.Sprintf(payload, "resource_attributes", true))
	if reviews := s.reviews(); len(reviews) != 2 || len(reviews[1].Groups) != 1 || reviews[1].ResourceAttributes.Resource != "pods" {
		t.Errorf("reviewed %+v", reviews)
	}
	for name, c := range map[string]struct{ payload, want string }{
		"no payload":    {``, "decode can_i request: "},
		"no review":     {`{"disable_cache":false}`, "decode can_i request: missing field `subject_access_review`"},
		"no attributes": {`{"subject_access_review":{"user":"u"}}`, "decode can_i request: missing field `resource_attributes`"},
		"no user":       {`{"subject_access_review":{"resource_attributes":{"verb":"get","resource":"pods"}}}`, "decode can_i request: missing field `user`"},
		"no verb":       {`{"subject_access_review":{"user":"u","resource_attributes":{"resource":"pods"}}}`, "decode can_i request: missing field `verb`"},
		"no resource":   {`{"subject_access_review":{"user":"u","resource_attributes":{"verb":"get"}}}`, "decode can_i request: missing field `resource`"},
	} {
		t.Run(name, func(t *testing.T) { p.fails("can_i", c.payload, c.want) })
	}
	t.Run("no status", func(t *testing.T) {
		s.decides(nil)
		p.fails("can_i", fmt.Sprintf(payload, "resource_attributes", true), failed+"SubjectAccessReview did not return a response")
	})
	t.Run("without permission", func(t *testing.T) {
		s.fails("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", failure{403, metav1.StatusReasonForbidden, "subjectaccessreviews is forbidden"})
		p.fails("can_i", fmt.Sprintf(payload, "resource_attributes", true), failed+"subjectaccessreviews is forbidden")
	})
}
