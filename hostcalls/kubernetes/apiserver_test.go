package kubernetes_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"policy-server/hostcalls/kubernetes"
)

const token = "the-servers-own-token"

// apiServer is an API server over TLS, as far as policies see one: discovery, lists in pages,
// watches, objects, access reviews, its errors, and who may ask. It counts what it is asked.
type apiServer struct {
	t    testing.TB
	http *httptest.Server

	mu       sync.Mutex
	version  int
	objects  map[string]map[string]any // by PATH OF COLLECTION/NAMESPACE/NAME
	history  []change
	forgot   int           // changes up to this version cannot be watched any more
	news     chan struct{} // closed and made anew with every change
	requests []string
	failing  map[string]failure // by METHOD PATH
	slow     map[string]chan struct{}
	removed  map[string]bool // kinds that are no longer served
	verdict  *authorizationv1.SubjectAccessReviewStatus
	reviewed []authorizationv1.SubjectAccessReviewSpec
	watching int
}

// change is something that happened to an object.
type change struct {
	version    int
	kind       string // of event
	collection string
	object     map[string]any
}

// failure is how a request fails: as the API server puts it.
type failure struct {
	code    int32
	reason  metav1.StatusReason
	message string
}

// served is what discovery shows.
var served = map[string][]metav1.APIResource{
	"/api/v1": {
		{Name: "bindings", Kind: "Binding", Namespaced: true},
		{Name: "pods/eviction", Kind: "Eviction", Namespaced: true},
		{Name: "pods", Kind: "Pod", Namespaced: true},
		{Name: "services/proxy", Kind: "Service", Namespaced: true}, // comes first and is none
		{Name: "services", Kind: "Service", Namespaced: true},
		{Name: "secrets", Kind: "Secret", Namespaced: true},
		{Name: "namespaces", Kind: "Namespace"},
	},
	"/apis/apps/v1":         {{Name: "deployments", Kind: "Deployment", Namespaced: true}},
	"/apis/reports.dev/v1a": {{Name: "reports", Kind: "VulnerabilityReport", Namespaced: true}},
}

func newAPIServer(t testing.TB) *apiServer {
	t.Helper()
	s := &apiServer{
		t: t, version: 100, objects: map[string]map[string]any{}, news: make(chan struct{}), failing: map[string]failure{},
		slow: map[string]chan struct{}{}, removed: map[string]bool{}, verdict: &authorizationv1.SubjectAccessReviewStatus{},
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.EnableHTTP2 = true // as real ones do
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.StartTLS()
	t.Cleanup(s.http.Close)
	return s
}

// opens connects to the server through a kubeconfig, as the program does.
func (s *apiServer) opens(cfg kubernetes.Config) *kubernetes.Cluster {
	s.t.Helper()
	s.kubeconfig(token)
	cluster, err := kubernetes.Open(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.http.CloseClientConnections() // streams would keep the server from closing
		cluster.Close()
	})
	return cluster
}

// kubeconfig makes a file that leads to the server, and points KUBECONFIG to it.
func (s *apiServer) kubeconfig(token string) {
	s.t.Helper()
	dir := s.t.TempDir()
	authority := filepath.Join(dir, "ca.crt")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	file := filepath.Join(dir, "config")
	content := fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: test,
  clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}],
  users: [{name: test, user: {token: %q}}],
  contexts: [{name: test, context: {cluster: test, user: test}}]}`, s.http.URL, authority, token)
	for name, data := range map[string][]byte{authority: certificate, file: []byte(content)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.Setenv("KUBECONFIG", file)
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	asked := r.Method + " " + r.URL.Path
	if query := interesting(r); query != "" {
		asked += "?" + query
	}
	s.requests = append(s.requests, asked)
	fails, isFailing := s.failing[r.Method+" "+r.URL.Path]
	gate := s.slow[r.URL.Path]
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		refuse(w, failure{401, metav1.StatusReasonUnauthorized, "Unauthorized"}, "")
	case isFailing:
		refuse(w, fails, "")
	case r.URL.Path == "/apis/authorization.k8s.io/v1/subjectaccessreviews":
		s.review(w, r)
	case served[r.URL.Path] != nil:
		s.discover(w, r.URL.Path)
	default:
		s.serveObjects(w, r)
	}
}

// interesting is what of a query says what is asked.
func interesting(r *http.Request) string {
	var parts []string
	for _, name := range []string{"labelSelector", "fieldSelector", "watch", "limit", "continue"} {
		if value := r.URL.Query().Get(name); value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	return strings.Join(parts, "&")
}

func write(w http.ResponseWriter, code int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(document)
}

func refuse(w http.ResponseWriter, f failure, name string) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: f.code, Reason: f.reason, Message: f.message,
	}
	if name != "" {
		status.Details = &metav1.StatusDetails{Name: name}
	}
	write(w, int(f.code), status)
}

func (s *apiServer) discover(w http.ResponseWriter, root string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: strings.TrimPrefix(root, "/apis/")}
	for _, r := range served[root] {
		if !s.removed[r.Kind] {
			list.APIResources = append(list.APIResources, r)
		}
	}
	write(w, http.StatusOK, list)
}

func (s *apiServer) review(w http.ResponseWriter, r *http.Request) {
	var review authorizationv1.SubjectAccessReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Kind != "SubjectAccessReview" || r.Method != http.MethodPost {
		refuse(w, failure{400, metav1.StatusReasonBadRequest, "not a review"}, "")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reviewed = append(s.reviewed, review.Spec)
	if s.verdict == nil {
		write(w, http.StatusCreated, map[string]any{"kind": "SubjectAccessReview"})
		return
	}
	review.Status = *s.verdict
	write(w, http.StatusCreated, review)
}

// serveObjects answers lists, watches and gets of whatever discovery shows.
func (s *apiServer) serveObjects(w http.ResponseWriter, r *http.Request) {
	for root, resources := range served {
		rest, ok := strings.CutPrefix(r.URL.Path, root+"/")
		if !ok {
			continue
		}
		parts, namespace := strings.Split(rest, "/"), ""
		if parts[0] == "namespaces" && len(parts) > 2 {
			namespace, parts = parts[1], parts[2:]
		}
		for _, resource := range resources {
			if resource.Name != parts[0] || s.isRemoved(resource.Kind) {
				continue
			}
			collection := root + "/" + resource.Name
			switch {
			case len(parts) == 2:
				s.get(w, resource, collection, namespace, parts[1])
			case r.URL.Query().Get("watch") == "true":
				s.watch(w, r, collection, namespace)
			default:
				s.list(w, r, resource, collection, namespace)
			}
			return
		}
	}
	http.Error(w, "404 page not found", http.StatusNotFound)
}

func (s *apiServer) isRemoved(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removed[kind]
}

func (s *apiServer) get(w http.ResponseWriter, resource metav1.APIResource, collection, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[collection+"/"+namespace+"/"+name]
	if !ok {
		refuse(w, failure{404, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", resource.Name, name)}, name)
		return
	}
	write(w, http.StatusOK, object)
}

// selects understands the selectors of a request.
func selects(r *http.Request) (func(object map[string]any) bool, error) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	name, _ := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	return func(object map[string]any) bool {
		metadata := metadataOf(object)
		set := labels.Set{}
		if given, ok := metadata["labels"].(map[string]any); ok {
			for key, value := range given {
				set[key], _ = value.(string)
			}
		}
		return selector.Matches(set) && (name == "" || name == metadata["name"])
	}, nil
}

func metadataOf(object map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	return metadata
}

func (s *apiServer) list(w http.ResponseWriter, r *http.Request, resource metav1.APIResource, collection, namespace string) {
	selected, err := selects(r)
	if err != nil {
		refuse(w, failure{400, metav1.StatusReasonBadRequest, fmt.Sprintf("unable to parse requirement: %v", err)}, "")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key, object := range s.objects {
		if strings.HasPrefix(key, collection+"/"+namespace) && selected(object) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	to := len(keys)
	if limit, _ := strconv.Atoi(r.URL.Query().Get("limit")); limit > 0 {
		to = min(to, from+limit)
	}
	metadata := map[string]any{"resourceVersion": strconv.Itoa(s.version)}
	if to < len(keys) {
		metadata["continue"], metadata["remainingItemCount"] = strconv.Itoa(to), len(keys)-to
	}
	items := []any{}
	for _, key := range keys[from:to] {
		bare := map[string]any{} // items of lists lack apiVersion and kind
		for name, value := range s.objects[key] {
			if name != "apiVersion" && name != "kind" {
				bare[name] = value
			}
		}
		items = append(items, bare)
	}
	write(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": resource.Kind + "List", "metadata": metadata, "items": items})
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, collection, namespace string) {
	selected, err := selects(r)
	if err != nil {
		refuse(w, failure{400, metav1.StatusReasonBadRequest, err.Error()}, "")
		return
	}
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	s.count(1)
	defer s.count(-1)
	for {
		events, news := s.since(since)
		for _, c := range events {
			event := map[string]any{"type": c.kind, "object": c.object}
			about := c.collection == collection && (namespace == "" || metadataOf(c.object)["namespace"] == namespace) && selected(c.object)
			if c.kind == "BOOKMARK" || c.kind == "ERROR" || about {
				_ = json.NewEncoder(w).Encode(event)
				w.(http.Flusher).Flush()
			}
			if c.kind == "ERROR" {
				return
			}
			since = c.version
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *apiServer) count(watchers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watching += watchers
}

// since returns what happened after a version, and what is closed when there is more.
func (s *apiServer) since(version int) ([]change, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.forgot {
		expired := map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old resource version"}
		return []change{{kind: "ERROR", object: expired}}, nil
	}
	var events []change
	for _, c := range s.history {
		if c.version > version {
			events = append(events, c)
		}
	}
	return events, s.news
}
