package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"policy-server/hostcalls"
	"policy-server/hostcalls/kubernetes"
)

const failed = "Callback evaluation failure: "

// policy makes host calls with every capability granted, and these kinds.
type policy struct {
	t          testing.TB
	dispatcher *hostcalls.Dispatcher
	kinds      []hostcalls.Resource
}

// kind reads "apps/v1 Deployment".
func kind(text string) hostcalls.Resource {
	apiVersion, name, _ := strings.Cut(text, " ")
	return hostcalls.Resource{APIVersion: apiVersion, Kind: name}
}

func newPolicy(t testing.TB, cluster *kubernetes.Cluster, kinds ...string) *policy {
	p := &policy{t: t, dispatcher: hostcalls.NewDispatcher(kubernetes.Capabilities(cluster), zap.NewNop())}
	for _, text := range kinds {
		p.kinds = append(p.kinds, kind(text))
	}
	return p
}

func (p *policy) callsUntil(ctx context.Context, operation, payload string) (string, error) {
	p.t.Helper()
	grants, err := hostcalls.ParseGrants([]string{"*"})
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := p.dispatcher.Evaluation("p", grants, p.kinds).Call(ctx, "kubernetes", operation, []byte(payload))
	return string(answer), err
}

func (p *policy) calls(operation, payload string) (string, error) {
	p.t.Helper()
	return p.callsUntil(p.t.Context(), operation, payload)
}

// gets makes a call that must succeed.
func (p *policy) gets(operation, payload string) string {
	p.t.Helper()
	answer, err := p.calls(operation, payload)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// fails makes a call that must fail with an error that begins with want.
func (p *policy) fails(operation, payload, want string) {
	p.t.Helper()
	if answer, err := p.calls(operation, payload); err == nil || !strings.HasPrefix(err.Error(), want) {
		p.t.Errorf("%s of %s: answer %s, error %v, expected %q", operation, payload, answer, err, want)
	}
}

// asks makes a request of the host's own.
func (p *policy) asks(request hostcalls.Request) (string, error) {
	answer, err := p.dispatcher.Evaluation("p", hostcalls.Grants{}, p.kinds).Ask(p.t.Context(), request)
	return string(answer), err
}

// mayHaveChanged asks whether the inventory of Pods may have changed since an instant.
func (p *policy) mayHaveChanged(cluster *kubernetes.Cluster, since time.Time) bool {
	p.t.Helper()
	answer, err := p.asks(cluster.ChangedSinceRequest(kind("v1 Pod"), time.Since(since)))
	if err != nil {
		p.t.Fatal(err)
	}
	return answer == "true"
}

// names returns the names of a list's items, with their namespaces.
func names(t testing.TB, list string) string {
	t.Helper()
	var l struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(list), &l); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	var all []string
	for _, item := range l.Items {
		all = append(all, strings.TrimPrefix(item.Metadata.Namespace+"/"+item.Metadata.Name, "/"))
	}
	return strings.Join(all, " ")
}

const (
	pod        = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q,"labels":{"app":%q}},"spec":{"containers":[{"name":"c","image":"nginx"}]},"status":{"phase":"Running"}}`
	allPods    = `{"api_version":"v1","kind":"Pod"}`
	podsOf     = `{"api_version":"v1","kind":"Pod","namespace":%q}`
	getService = `{"api_version":"v1","kind":"Service","name":"api-auth-service","namespace":"customer-1","disable_cache":%t}`
	service    = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"api-auth-service","namespace":"customer-1","managedFields":[{"manager":"kubectl"}]},"spec":{"clusterIP":"192.0.2.1","big":12345678901234567890}}`
)

func podNamed(namespace, name string) string { return fmt.Sprintf(pod, name, namespace, name) }

func TestGrants(t *testing.T) {
	const denied = "Policy has not been granted access to Kubernetes v1/%s resources. The violation has been reported."
	calls := map[string]string{
		"list_resources_by_namespace": `{"api_version":"v1","kind":%q,"namespace":"default"}`,
		"list_resources_all":          `{"api_version":"v1","kind":%q}`,
		"get_resource":                `{"api_version":"v1","kind":%q,"name":"x","namespace":"default","disable_cache":false}`,
	}
	for operation, payload := range calls {
		t.Run("3 no kinds/"+operation, func(t *testing.T) {
			newPolicy(t, nil).fails(operation, fmt.Sprintf(payload, "Pod"), fmt.Sprintf(denied, "Pod"))
		})
		t.Run("5 another kind/"+operation, func(t *testing.T) {
			p := newPolicy(t, nil, "v1 ConfigMap")
			p.fails(operation, fmt.Sprintf(payload, "Secret"), fmt.Sprintf(denied, "Secret"))
			p.fails(operation, fmt.Sprintf(payload, "ConfigMap"), failed+kubernetes.ErrNoCluster.Error())
		})
		t.Run("not decoded comes first/"+operation, func(t *testing.T) {
			newPolicy(t, nil).fails(operation, `{"api_version":"v1"}`, "decode ")
		})
	}
	t.Run("4 can_i needs none", func(t *testing.T) {
		newPolicy(t, nil).fails("can_i", `{"subject_access_review":{"user":"u","resource_attributes":{"verb":"get","resource":"pods"}},"disable_cache":false}`,
			failed+kubernetes.ErrNoCluster.Error())
	})
}

// A policy's conversation with the API server, in order.
func TestConversation(t *testing.T) {
	s := newAPIServer(t)
	s.puts(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"customer-1","labels":{"customer-id":"1"}}}`, service,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"db","namespace":"customer-1"}}`)
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Namespace", "apps/v1 Deployment", "v1 Service")
	answer := p.gets("can_i", `{"subject_access_review":{"user":"system:serviceaccount:customer-1:default","groups":null,"resource_attributes":{"namespace":"kube-system","verb":"create","group":"","resource":"pods"}},"disable_cache":false}`)
	if answer != `{"allowed":false}` {
		t.Errorf("can_i: %s", answer)
	}
	if list := p.gets("list_resources_all", `{"api_version":"v1","kind":"Namespace","label_selector":"customer-id=1"}`); names(t, list) != "customer-1" {
		t.Errorf("namespaces: %s", list)
	}
	if list := p.gets("list_resources_by_namespace", `{"api_version":"apps/v1","kind":"Deployment","namespace":"customer-1"}`); names(t, list) != "customer-1/db" ||
		!strings.HasPrefix(list, `{"apiVersion":"apps/v1","kind":"DeploymentList","metadata":{},"items":[`) {
		t.Errorf("deployments: %s", list)
	}
	p.gets("get_resource", fmt.Sprintf(getService, false))
	eventually(t, "both watches", func() bool { return s.watchers() == 2 })
	var sequence []string
	for _, request := range s.asked() {
		if !strings.Contains(request, "watch=true") { // whose place in the sequence is not fixed
			sequence = append(sequence, strings.ReplaceAll(request, "&limit=500", ""))
		}
	}
	if want := []string{
		"POST /apis/authorization.k8s.io/v1/subjectaccessreviews",
		"GET /api/v1", "GET /api/v1/namespaces?labelSelector=customer-id=1",
		"GET /apis/apps/v1", "GET /apis/apps/v1/namespaces/customer-1/deployments?limit=500",
		"GET /api/v1/namespaces/customer-1/services/api-auth-service",
	}; !slices.Equal(sequence, want) {
		t.Errorf("17: the API server saw\n%s\nexpected\n%s", strings.Join(sequence, "\n"), strings.Join(want, "\n"))
	}
	spec := s.reviews()[0]
	if spec.User != "system:serviceaccount:customer-1:default" || spec.ResourceAttributes.Verb != "create" || spec.ResourceAttributes.Namespace != "kube-system" {
		t.Errorf("17: reviewed %+v", spec)
	}
}

func TestList(t *testing.T) {
	s := newAPIServer(t)
	for i := range 1203 {
		s.puts(podNamed("many", fmt.Sprintf("pod-%04d", i)))
	}
	s.puts(podNamed("few", "a"), podNamed("few", "b"), `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"few"}}`)
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Pod", "v1 Namespace")
	t.Run("all pages are in", func(t *testing.T) {
		if n := len(strings.Fields(names(t, p.gets("list_resources_all", allPods)))); n != 1205 {
			t.Errorf("%d objects", n)
		}
		if requests := strings.Join(s.asked(), "\n"); strings.Count(requests, "limit=500") != 3 {
			t.Errorf("requests were\n%s", requests)
		}
	})
	t.Run("selectors and namespaces are the API server's", func(t *testing.T) {
		for payload, want := range map[string]string{
			fmt.Sprintf(podsOf, "few"): "few/a few/b",
			`{"api_version":"v1","kind":"Pod","namespace":"few","label_selector":"app in (b,c)"}`:                                           "few/b",
			`{"api_version":"v1","kind":"Pod","namespace":"few","field_selector":"metadata.name=a","label_selector":null,"field_masks":[]}`: "few/a",
			fmt.Sprintf(podsOf, "none"): "",
		} {
			if list := p.gets("list_resources_by_namespace", payload); names(t, list) != want || !strings.HasPrefix(list, `{"apiVersion":"v1","kind":"PodList","metadata":{},"items":[`) {
				t.Errorf("%s: %s", payload, list)
			}
		}
		if list := p.gets("list_resources_all", `{"api_version":"v1","kind":"Namespace","unknown":1}`); names(t, list) != "few" {
			t.Errorf("namespaces: %s", list)
		}
	})
	t.Run("a second list asks nobody", func(t *testing.T) {
		s.asked()
		p.gets("list_resources_all", allPods)
		p.gets("list_resources_all", `{"api_version":"v1","kind":"Pod","field_masks":[]}`)
		for _, request := range s.asked() {
			if !strings.Contains(request, "watch=true") {
				t.Errorf("asked %s", request)
			}
		}
	})
}

func TestList_follows(t *testing.T) {
	s := newAPIServer(t)
	s.puts(podNamed("n", "a"))
	cluster := s.opens(kubernetes.Config{})
	p := newPolicy(t, cluster, "v1 Pod")
	shows := func(want string) func() bool {
		return func() bool { return names(t, p.gets("list_resources_all", allPods)) == want }
	}
	if !p.mayHaveChanged(cluster, time.Now()) {
		t.Error("what is not watched is said not to have changed")
	}
	if !shows("n/a")() {
		t.Fatal("the first list lacks the pod")
	}
	before := time.Now()
	if p.mayHaveChanged(cluster, before) {
		t.Error("a change is seen where there is none")
	}
	s.puts(podNamed("n", "b"), podNamed("m", "c"))
	eventually(t, "pods that are new", shows("m/c n/a n/b"))
	if !p.mayHaveChanged(cluster, before) {
		t.Error("a change is not seen")
	}
	s.puts(strings.Replace(podNamed("n", "a"), "Running", "Failed", 1))
	eventually(t, "a pod that changed", func() bool { return strings.Contains(p.gets("list_resources_all", allPods), "Failed") })
	s.removes(podNamed("n", "a"))
	eventually(t, "a pod that is gone", shows("m/c n/b"))

	s.bookmarks()
	s.asked()
	s.forgets() // 410 Gone: the next watch is too old
	s.puts(podNamed("n", "d"))
	eventually(t, "what was missed", shows("m/c n/b n/d"))
	if requests := s.asked(); !slices.ContainsFunc(requests, func(r string) bool { return !strings.Contains(r, "watch=true") }) {
		t.Errorf("it was not listed again: %q", requests)
	}
	s.puts(podNamed("n", "e"))
	eventually(t, "what came after", shows("m/c n/b n/d n/e"))
}

// What is not managed to be watched is served as it was.
func TestList_outage(t *testing.T) {
	s := newAPIServer(t)
	s.puts(podNamed("n", "a"))
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Pod")
	p.gets("list_resources_all", allPods)
	s.fails("GET /api/v1/pods", failure{503, metav1.StatusReasonServiceUnavailable, "etcd is away"})
	s.forgets()
	s.puts(podNamed("n", "b"))
	eventually(t, "a request that fails", func() bool {
		return slices.ContainsFunc(s.asked(), func(r string) bool { return strings.HasPrefix(r, "GET /api/v1/pods") })
	})
	if list := p.gets("list_resources_all", allPods); names(t, list) != "n/a" {
		t.Errorf("during the outage: %s", list)
	}
	s.fails("GET /api/v1/pods", failure{})
	eventually(t, "the end of the outage", func() bool { return names(t, p.gets("list_resources_all", allPods)) == "n/a n/b" })
}

func TestList_fails(t *testing.T) {
	s := newAPIServer(t)
	s.fails("GET /api/v1/secrets", failure{403, metav1.StatusReasonForbidden, `secrets is forbidden: User "p" cannot list resource "secrets" in API group "" at the cluster scope`})
	cluster := s.opens(kubernetes.Config{})
	p := newPolicy(t, cluster, "v1 Secret", "v1 Pod", "v1 Namespace", "v1 Nothing", "example.com/v1 Thing", "nonsense Thing", "a/b/c Thing", "../v1 Thing")
	for name, c := range map[string]struct{ operation, payload, want string }{
		"53 without permission":          {"list_resources_all", `{"api_version":"v1","kind":"Secret"}`, failed + "secrets is forbidden: User \"p\" cannot list"},
		"51 cluster-scoped kind":         {"list_resources_by_namespace", `{"api_version":"v1","kind":"Namespace","namespace":"x"}`, failed + "resource v1/Namespace is cluster wide. Cannot search for it inside of a namespace"},
		"bad selector":                   {"list_resources_all", `{"api_version":"v1","kind":"Pod","label_selector":"=="}`, failed + "unable to parse requirement"},
		"unknown kind":                   {"list_resources_all", `{"api_version":"v1","kind":"Nothing"}`, failed + "Cannot find resource v1/Nothing"},
		"unknown group":                  {"list_resources_all", `{"api_version":"example.com/v1","kind":"Thing"}`, failed + "error finding resource example.com/v1 / Thing: "},
		"no group":                       {"list_resources_all", `{"api_version":"nonsense","kind":"Thing"}`, failed + "cannot determine group and version for nonsense"},
		"group with a slash":             {"list_resources_all", `{"api_version":"a/b/c","kind":"Thing"}`, failed + "cannot determine group and version for a/b/c"},
		"group that leads elsewhere":     {"list_resources_all", `{"api_version":"../v1","kind":"Thing"}`, failed + "cannot determine group and version for ../v1"},
		"namespace that leads elsewhere": {"list_resources_by_namespace", `{"api_version":"v1","kind":"Pod","namespace":"../../secrets"}`, failed + `invalid namespace "../../secrets"`},
		"no namespace":                   {"list_resources_by_namespace", allPods, "decode list request: missing field `namespace`"},
		"empty namespace":                {"list_resources_by_namespace", fmt.Sprintf(podsOf, ""), "decode list request: `namespace` is empty"},
		"no kind":                        {"list_resources_all", `{"api_version":"v1"}`, "decode list request: missing field `kind`"},
		"no payload":                     {"list_resources_all", ``, "decode list request: "},
		"masks are no list":              {"list_resources_all", `{"api_version":"v1","kind":"Pod","field_masks":"a"}`, "decode list request: "},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // far more than an answer takes
			defer cancel()
			if answer, err := p.callsUntil(ctx, c.operation, c.payload); err == nil || !strings.HasPrefix(err.Error(), c.want) || ctx.Err() != nil {
				t.Errorf("answer %s, error %v", answer, err)
			}
		})
	}
	if requests := strings.Join(s.asked(), "\n"); strings.Contains(requests, "..") || strings.Contains(requests, "/secrets/") {
		t.Errorf("a path led elsewhere:\n%s", requests)
	}
	t.Run("a permission that is given later", func(t *testing.T) {
		s.fails("GET /api/v1/secrets", failure{})
		eventually(t, "the list", func() bool {
			_, err := p.calls("list_resources_all", `{"api_version":"v1","kind":"Secret"}`)
			return err == nil
		})
	})
	t.Run("a kind that is removed and comes back", func(t *testing.T) {
		s.drops("Pod")
		p.fails("list_resources_all", `{"api_version":"v1","kind":"Pod","label_selector":"x=y"}`, failed)
		s.serves("Pod")
		eventually(t, "the list", func() bool {
			_, err := p.calls("list_resources_all", `{"api_version":"v1","kind":"Pod","label_selector":"x=y"}`)
			return err == nil
		})
	})
}

// A first list that takes too long costs the evaluation that waits for it, and nobody else.
func TestList_deadline(t *testing.T) {
	s := newAPIServer(t)
	s.puts(podNamed("n", "a"))
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Pod")
	release := s.holds("/api/v1/pods")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.callsUntil(ctx, "list_resources_all", allPods); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not arrive in time") {
		t.Errorf("error is %v", err)
	}
	s.asked()
	release()
	if list := p.gets("list_resources_all", allPods); names(t, list) != "n/a" {
		t.Errorf("later: %s", list)
	}
	for _, request := range s.asked() {
		if !strings.Contains(request, "watch=true") {
			t.Errorf("the list was begun again: %s", request)
		}
	}
	t.Run("the last error is told", func(t *testing.T) {
		s.fails("GET /api/v1/namespaces/n/pods", failure{500, metav1.StatusReasonInternalError, "etcd is away"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.callsUntil(ctx, "list_resources_by_namespace", fmt.Sprintf(podsOf, "n")); err == nil || !strings.Contains(err.Error(), "etcd is away") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestList_idle(t *testing.T) {
	s := newAPIServer(t)
	s.puts(podNamed("n", "a"))
	cluster := s.opens(kubernetes.Config{Idle: 50 * time.Millisecond})
	p := newPolicy(t, cluster, "v1 Pod")
	for range 2 {
		p.gets("list_resources_all", allPods)
		eventually(t, "the watch's end", func() bool { // what is not watched may have changed
			return p.mayHaveChanged(cluster, time.Now()) && s.watchers() == 0
		})
	}
	lists := 0
	for _, request := range s.asked() {
		if strings.HasPrefix(request, "GET /api/v1/pods?limit") {
			lists++
		}
	}
	if lists != 2 {
		t.Errorf("listed %d times", lists)
	}
}

// Selectors come from requests, so there may be more of them than can be watched.
func TestList_many(t *testing.T) {
	s := newAPIServer(t)
	cluster := s.opens(kubernetes.Config{})
	p := newPolicy(t, cluster, "v1 Pod")
	const more = 300
	for i := range more {
		p.gets("list_resources_by_namespace", fmt.Sprintf(podsOf, fmt.Sprintf("n%d", i)))
	}
	eventually(t, "a bounded number of watches", func() bool { n := s.watchers(); return n > 0 && n <= 256 })
	s.asked()
	for i, relisted := range map[int]bool{more - 1: false, 0: true} {
		p.gets("list_resources_by_namespace", fmt.Sprintf(podsOf, fmt.Sprintf("n%d", i)))
		path := fmt.Sprintf("GET /api/v1/namespaces/n%d/pods?limit=500", i)
		if asked := slices.Contains(s.asked(), path); asked != relisted {
			t.Errorf("%s: %t", path, asked)
		}
	}
}

func TestList_hammer(t *testing.T) {
	s := newAPIServer(t)
	s.puts(podNamed("n", "a"))
	p := newPolicy(t, s.opens(kubernetes.Config{Idle: time.Millisecond}), "v1 Pod")
	var policies sync.WaitGroup
	for i := range 8 {
		policies.Go(func() {
			for range 30 {
				payload := fmt.Sprintf(`{"api_version":"v1","kind":"Pod","label_selector":"app!=x%d"}`, i%3)
				if answer, err := p.calls("list_resources_all", payload); err != nil || !strings.Contains(answer, `"name":"a"`) {
					t.Errorf("answer %s, error %v", answer, err)
				}
			}
		})
	}
	policies.Go(func() {
		for i := range 30 {
			s.puts(podNamed("n", fmt.Sprintf("b%d", i)))
		}
	})
	policies.Wait()
}

func TestStripping(t *testing.T) {
	s := newAPIServer(t)
	s.puts(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","managedFields":[{"manager":"kubectl"}],
		"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","other":"kept"}},
		"spec":{"nodeName":"x","containers":[{"name":"c","image":"nginx","env":[{"name":"a"}]},{"image":"b"}]},"status":{"phase":"Running"}}`,
		`{"apiVersion":"reports.dev/v1a","kind":"VulnerabilityReport","metadata":{"name":"r","namespace":"n"},"report":{"imageMetadata":{"a":1},"results":[
			{"target":"t","vulnerabilities":[{"cve":"1","fixedVersions":["2"],"severity":"HIGH","suppressed":false,"description":"long"}]}]}}`)
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Pod", "reports.dev/v1a VulnerabilityReport")
	for name, c := range map[string]struct{ payload, want string }{
		"48 no masks": {allPods, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","resourceVersion":"101","annotations":{"other":"kept"},"managedFields":[]},
			"spec":{"nodeName":"x","containers":[{"name":"c","image":"nginx","env":[{"name":"a"}]},{"image":"b"}]},"status":{"phase":"Running"}}`},
		"49 spec.containers.image": {`{"api_version":"v1","kind":"Pod","field_masks":["spec.containers.image"]}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","resourceVersion":"101","annotations":{"other":"kept"},"managedFields":[]},
			"spec":{"containers":[{"image":"nginx"},{"image":"b"}]}}`},
		"metadata alone": {`{"api_version":"v1","kind":"Pod","field_masks":["metadata.name"]}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","resourceVersion":"101","annotations":{"other":"kept"},"managedFields":[]}}`},
		"50 a report": {`{"api_version":"reports.dev/v1a","kind":"VulnerabilityReport","field_masks":["report.results.vulnerabilities.cve",
			"report.results.vulnerabilities.fixedVersions","report.results.vulnerabilities.severity","report.results.vulnerabilities.suppressed"]}`,
			`{"apiVersion":"reports.dev/v1a","kind":"VulnerabilityReport","metadata":{"name":"r","namespace":"n","resourceVersion":"102","annotations":{},"managedFields":[]},
			"report":{"results":[{"vulnerabilities":[{"cve":"1","fixedVersions":["2"],"severity":"HIGH","suppressed":false}]}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			var list struct{ Items []json.RawMessage }
			if err := json.Unmarshal([]byte(p.gets("list_resources_all", c.payload)), &list); err != nil || len(list.Items) != 1 {
				t.Fatalf("%d items, %v", len(list.Items), err)
			}
			sameJSON(t, string(list.Items[0]), c.want)
		})
	}
	t.Run("48 after a change", func(t *testing.T) {
		s.puts(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"n","managedFields":[{}]},"spec":{"nodeName":"moved","containers":[{"image":"c","name":"d"}]}}`)
		masked := `{"api_version":"v1","kind":"Pod","field_masks":["spec.containers.image"]}`
		eventually(t, "the change", func() bool { return strings.Contains(p.gets("list_resources_all", masked), `"image":"c"`) })
		if list := p.gets("list_resources_all", masked); strings.Contains(list, "moved") || !strings.Contains(list, `"managedFields":[]`) {
			t.Errorf("list is %s", list)
		}
	})
}

func sameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal([]byte(got), &g), json.Unmarshal([]byte(want), &w)); err != nil {
		t.Fatal(err)
	}
	gotText, _ := json.Marshal(g)
	wantText, _ := json.Marshal(w)
	if string(gotText) != string(wantText) {
		t.Errorf("got\n%s\nwant\n%s", gotText, wantText)
	}
}

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

// What the host wants to know for policies that cannot ask themselves needs the kinds, and no capability.
func TestInventory(t *testing.T) {
	s := newAPIServer(t)
	s.puts(service)
	cluster := s.opens(kubernetes.Config{})
	p := newPolicy(t, cluster, "v1 Service", "apps/v1 Deployment", "v1 Eviction")
	for text, want := range map[string]string{"v1 Service": `"services"`, "apps/v1 Deployment": `"deployments"`, "v1 Eviction": ""} {
		if plural, err := p.asks(cluster.PluralNameRequest(kind(text))); plural != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", text, plural, err)
		}
	}
	if list, err := p.asks(cluster.InventoryRequest(kind("v1 Service"))); err != nil || names(t, list) != "customer-1/api-auth-service" {
		t.Errorf("inventory %s, %v", list, err)
	}
	var denied *hostcalls.ReadDeniedError
	if _, err := p.asks(cluster.InventoryRequest(kind("v1 Secret"))); !errors.As(err, &denied) {
		t.Errorf("a kind that was not granted: %v", err)
	}
	t.Run("recorded and replayed", func(t *testing.T) {
		var recorder hostcalls.Recorder
		questions := []hostcalls.Request{
			cluster.InventoryRequest(kind("v1 Service")), cluster.PluralNameRequest(kind("v1 Service")), cluster.ChangedSinceRequest(kind("v1 Service"), 1500*time.Millisecond),
		}
		recording, answers := *p, []string{}
		recording.dispatcher = p.dispatcher.Recording(&recorder)
		for _, question := range questions {
			answer, err := recording.asks(question)
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		session, err := recorder.Session()
		if err != nil {
			t.Fatal(err)
		}
		replayer, err := hostcalls.ParseSession(session)
		if err != nil {
			t.Fatal(err)
		}
		replaying := *p
		replaying.dispatcher = p.dispatcher.Replaying(replayer)
		for i, question := range questions {
			if answer, err := replaying.asks(question); err != nil || answer != answers[i] {
				t.Errorf("replayed %s, %v, was %s", answer, err, answers[i])
			}
		}
	})
}

func TestOpen(t *testing.T) {
	t.Run("no cluster", func(t *testing.T) {
		t.Setenv("HOME", t.TempDir())
		t.Setenv("KUBECONFIG", "")
		t.Setenv("KUBERNETES_SERVICE_HOST", "")
		if _, err := kubernetes.Open(kubernetes.Config{}); err == nil || !strings.HasPrefix(err.Error(), "find a cluster: ") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("the wrong token", func(t *testing.T) {
		s := newAPIServer(t)
		s.kubeconfig("guessed")
		cluster, err := kubernetes.Open(kubernetes.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		newPolicy(t, cluster, "v1 Pod").fails("list_resources_all", allPods, failed+"Unauthorized")
	})
	t.Run("closed", func(t *testing.T) {
		s := newAPIServer(t)
		s.kubeconfig(token)
		cluster, err := kubernetes.Open(kubernetes.Config{})
		if err != nil {
			t.Fatal(err)
		}
		p := newPolicy(t, cluster, "v1 Pod")
		p.gets("list_resources_all", allPods)
		cluster.Close()
		p.fails("list_resources_all", allPods, failed+"the connection to the cluster is closed")
		eventually(t, "the watch's end", func() bool { return s.watchers() == 0 })
	})
	t.Run("nothing was opened", func(t *testing.T) {
		var none *kubernetes.Cluster
		none.Close()
		p := newPolicy(t, none, "v1 Pod")
		for _, request := range []hostcalls.Request{
			none.InventoryRequest(kind("v1 Pod")), none.PluralNameRequest(kind("v1 Pod")), none.ChangedSinceRequest(kind("v1 Pod"), 0),
		} {
			if _, err := p.asks(request); !errors.Is(err, kubernetes.ErrNoCluster) {
				t.Errorf("%s: %v", request.Question.Variant, err)
			}
		}
	})
}
