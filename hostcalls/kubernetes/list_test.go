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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"policy-server/hostcalls/kubernetes"
)

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
	p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Pod", "v1 Namespace")
	p.gets("list_resources_all", `{"api_version":"v1","kind":"Namespace"}`) // which asks what there is
	release := s.holds("/api/v1/pods")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.callsUntil(ctx, "list_resources_all", allPods); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not arrive in time") {
		t.Errorf("error is %v", err)
	}
	const list = "GET /api/v1/pods?limit=500"
	eventually(t, "the list that is late", func() bool { return s.seen(list) == 1 })
	release()
	if list := p.gets("list_resources_all", allPods); names(t, list) != "n/a" {
		t.Errorf("later: %s", list)
	}
	if n := s.seen(list); n != 1 {
		t.Errorf("listed %d times", n)
	}
	t.Run("the last error is told", func(t *testing.T) {
		s.fails("GET /api/v1/namespaces/n/pods", failure{500, metav1.StatusReasonInternalError, "etcd is away"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		failed := make(chan error)
		go func() {
			_, err := p.callsUntil(ctx, "list_resources_by_namespace", fmt.Sprintf(podsOf, "n"))
			failed <- err
		}()
		eventually(t, "the second attempt", func() bool { return s.seen("GET /api/v1/namespaces/n/pods?limit=500") == 2 })
		cancel()
		if err := <-failed; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "etcd is away") {
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
	if n := s.seen("GET /api/v1/pods?limit=500"); n != 2 {
		t.Errorf("listed %d times", n)
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

// Few selections may hold as much as many.
func TestList_large(t *testing.T) {
	s := newAPIServer(t)
	for i := range 20 {
		s.puts(podNamed("n", fmt.Sprintf("pod-%d", i)))
	}
	p := newPolicy(t, s.opens(kubernetes.Config{Memory: 2000}), "v1 Pod")
	const more = 10
	asks := func(i int) bool {
		s.asked()
		p.gets("list_resources_all", fmt.Sprintf(`{"api_version":"v1","kind":"Pod","label_selector":"app!=%d"}`, i))
		return slices.ContainsFunc(s.asked(), func(request string) bool { return strings.Contains(request, "limit=500") })
	}
	for i := range more {
		asks(i)
	}
	eventually(t, "no more watches than fit, and the last one", func() bool { n := s.watchers(); return n > 0 && n <= 2 })
	if asks(more - 1) {
		t.Error("what was listed last was listed again")
	}
	if !asks(0) {
		t.Error("what was listed first is still held")
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

// Policies share a watch when they ask for the same, and only then: what one of them masks is not
// missing for another.
func TestList_masksApart(t *testing.T) {
	for name, c := range map[string]struct{ earlier, masks string }{
		"a mask without a name":     {`[""]`, `null`},
		"a mask with a zero byte":   {`["spec\u0000status"]`, `["spec","status"]`},
		"a mask with a quote in it": {`["spec\" \"status"]`, `["spec","status"]`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.puts(podNamed("n", "a"))
			p := newPolicy(t, s.opens(kubernetes.Config{}), "v1 Pod")
			const masked = `{"api_version":"v1","kind":"Pod","field_masks":%s}`
			if list := p.gets("list_resources_all", fmt.Sprintf(masked, c.earlier)); strings.Contains(list, "Running") {
				t.Errorf("%s keeps the status: %s", c.earlier, list)
			}
			if list := p.gets("list_resources_all", fmt.Sprintf(masked, c.masks)); !strings.Contains(list, "Running") {
				t.Errorf("%s has no status: %s", c.masks, list)
			}
		})
	}
}
