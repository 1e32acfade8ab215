package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"policy-server/internal/testing/apiserver"
	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
)

// ingresses is an API server that has Ingresses, lists them and lets them be watched.
type ingresses struct {
	mu      sync.Mutex
	version int
	objects map[string]string // by NAMESPACE/NAME
	events  []string
	news    chan struct{} // closed and made anew with every event
}

func (s *ingresses) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Header.Get("Authorization") != "Bearer of-the-server":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/apis/networking.k8s.io/v1":
		_, _ = io.WriteString(w, `{"kind":"APIResourceList","groupVersion":"networking.k8s.io/v1","resources":[{"name":"ingresses","kind":"Ingress","namespaced":true}]}`)
	case r.URL.Path != "/apis/networking.k8s.io/v1/ingresses":
		w.WriteHeader(http.StatusNotFound)
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		items := strings.Join(slices.Sorted(maps.Values(s.objects)), ",")
		fmt.Fprintf(w, `{"apiVersion":"networking.k8s.io/v1","kind":"IngressList","metadata":{"resourceVersion":"%d"},"items":[%s]}`, s.version, items)
	}
}

// watch tells all events: watchers are none the worse for what they know already.
func (s *ingresses) watch(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	for told := 0; ; {
		s.mu.Lock()
		events, news := s.events[told:], s.news
		s.mu.Unlock()
		told += len(events)
		for _, event := range events {
			_, _ = io.WriteString(w, event+"\n")
		}
		w.(http.Flusher).Flush()
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}

// changes makes an Ingress with a host, or deletes it.
func (s *ingresses) changes(event, namespace, name, host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	object := ingressObject(namespace, name, host, s.version)
	delete(s.objects, namespace+"/"+name)
	if event != "DELETED" {
		s.objects[namespace+"/"+name] = object
	}
	s.events = append(s.events, fmt.Sprintf(`{"type":%q,"object":%s}`, event, object))
	close(s.news)
	s.news = make(chan struct{})
}

func ingressObject(namespace, name, host string, version int) string {
	return fmt.Sprintf(`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"namespace":%q,"name":%q,"resourceVersion":"%d"},"spec":{"rules":[{"host":%q}]}}`,
		namespace, name, version, host)
}

// TestUniqueIngressHost serves the example with a cluster whose Ingresses change: what the policy
// says follows.
func TestUniqueIngressHost(t *testing.T) {
	cluster := &ingresses{objects: map[string]string{}, news: make(chan struct{})}
	cluster.changes("ADDED", "blog", "web", "blog.example")
	api := httptest.NewTLSServer(cluster)
	t.Cleanup(api.Close)
	t.Setenv("KUBECONFIG", kubeconfig(t, api))
	module := guests.File(t, examples.Build(t, "unique-ingress-host"))
	s := started(t, launchFrom(t, plain, map[string]string{"policies": fmt.Sprintf(
		"unique: {module: %q, contextAwareResources: [{apiVersion: networking.k8s.io/v1, kind: Ingress}], hostCapabilities: [kubernetes/list_resources_all]}", module)}))
	t.Cleanup(api.CloseClientConnections) // the server's watch would keep the API server from closing

	expect := func(namespace, name, host, want string) {
		t.Helper()
		message := ""
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if message = ask(t, s, namespace, name, host); message == want {
				return
			}
		}
		t.Fatalf("%s/%s with %s: got %q, want %q", namespace, name, host, message, want)
	}
	const taken = `host "blog.example" belongs to Ingress "blog/web"`
	expect("shop", "web", "blog.example", taken)
	expect("shop", "web", "shop.example", "")
	expect("blog", "web", "blog.example", "")
	cluster.changes("ADDED", "shop", "web", "shop.example")
	expect("blog", "other", "shop.example", `host "shop.example" belongs to Ingress "shop/web"`)
	cluster.changes("DELETED", "blog", "web", "blog.example")
	expect("shop", "web", "blog.example", "")
	s.stop(t)
}

// ask has the API server ask about an Ingress, and returns why it was refused; "" when it was not.
func ask(t *testing.T, s *server, namespace, name, host string) string {
	t.Helper()
	review := fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"group":"networking.k8s.io","version":"v1","kind":"Ingress"},
		"resource":{"group":"networking.k8s.io","version":"v1","resource":"ingresses"},"name":%q,"namespace":%q,"operation":"CREATE","userInfo":{},"object":%s}}`,
		name, namespace, ingressObject(namespace, name, host, 0))
	if !json.Valid(review) {
		t.Fatalf("not JSON: %s", review)
	}
	_, body := s.post(t, "/validate/unique", review)
	response := apiserver.Check(t, review, body)
	if response.Allowed {
		return ""
	}
	return response.Result.Message
}
