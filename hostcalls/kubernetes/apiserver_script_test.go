package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// The methods of this file are what tests do to an API server, and see of it.

// puts creates or changes objects, given as JSON with apiVersion and kind.
func (s *apiServer) puts(documents ...string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, document := range documents {
		var object map[string]any
		if err := json.Unmarshal([]byte(document), &object); err != nil {
			s.t.Fatal(err)
		}
		s.version++
		metadataOf(object)["resourceVersion"] = strconv.Itoa(s.version)
		collection, key := s.placeOf(object)
		kind := "ADDED"
		if s.objects[key] != nil {
			kind = "MODIFIED"
		}
		s.objects[key] = object
		s.tell(change{s.version, kind, collection, object})
	}
}

// removes deletes an object, given as for puts.
func (s *apiServer) removes(document string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var object map[string]any
	if err := json.Unmarshal([]byte(document), &object); err != nil {
		s.t.Fatal(err)
	}
	s.version++
	collection, key := s.placeOf(object)
	delete(s.objects, key)
	metadataOf(object)["resourceVersion"] = strconv.Itoa(s.version)
	s.tell(change{s.version, "DELETED", collection, object})
}

// bookmarks tells watchers how far they are.
func (s *apiServer) bookmarks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.tell(change{s.version, "BOOKMARK", "", map[string]any{"kind": "Pod", "metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}}})
}

// forgets drops the history and the connections, so that watchers must list again.
func (s *apiServer) forgets() {
	s.mu.Lock()
	s.version++
	s.history, s.forgot = nil, s.version
	s.mu.Unlock()
	s.http.CloseClientConnections()
}

func (s *apiServer) tell(c change) {
	s.history = append(s.history, c)
	close(s.news)
	s.news = make(chan struct{})
}

func (s *apiServer) placeOf(object map[string]any) (collection, key string) {
	s.t.Helper()
	root := "/apis/" + object["apiVersion"].(string)
	if object["apiVersion"] == "v1" {
		root = "/api/v1"
	}
	for _, r := range served[root] {
		if r.Kind == object["kind"] && !strings.Contains(r.Name, "/") {
			namespace, _ := metadataOf(object)["namespace"].(string)
			return root + "/" + r.Name, fmt.Sprintf("%s/%s/%s/%v", root, r.Name, namespace, metadataOf(object)["name"])
		}
	}
	s.t.Fatalf("nothing serves %v", object["kind"])
	return "", ""
}

// fails lets a request fail, METHOD PATH, until it is told otherwise with code 0.
func (s *apiServer) fails(request string, f failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing[request] = f; f.code == 0 {
		delete(s.failing, request)
	}
}

// holds lets requests for path wait until the returned function is called.
func (s *apiServer) holds(path string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := make(chan struct{})
	s.slow[path] = gate
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.slow, path)
		close(gate)
	}
}

// asked returns the requests since it was called last.
func (s *apiServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// seen counts a request since asked was called.
func (s *apiServer) seen(request string) (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r == request {
			times++
		}
	}
	return times
}

// drops stops serving a kind; serves takes it up again.
func (s *apiServer) drops(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed[kind] = true
}

func (s *apiServer) serves(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.removed, kind)
}

// decides sets what access reviews say; nil for nothing.
func (s *apiServer) decides(verdict *authorizationv1.SubjectAccessReviewStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdict = verdict
}

// reviews returns what access was asked about.
func (s *apiServer) reviews() []authorizationv1.SubjectAccessReviewSpec {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.reviewed)
}

func (s *apiServer) watchers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watching
}

// eventually waits for something that another goroutine brings about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting: %s", what)
		}
	}
}
