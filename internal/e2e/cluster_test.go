package e2e

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"policy-server/internal/testing/apiserver"
	"policy-server/internal/testing/guests"
)

// cluster is an API server with the namespace test-policy. It counts what it is asked.
type cluster struct{ requests atomic.Int32 }

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.requests.Add(1)
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Header.Get("Authorization") != "Bearer of-the-server":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/api/v1":
		_, _ = io.WriteString(w, `{"kind":"APIResourceList","resources":[{"name":"namespaces","kind":"Namespace","namespaced":false}]}`)
	case r.URL.Path == "/api/v1/namespaces/test-policy":
		_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"test-policy"}}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// TestCluster serves a policy that reads the cluster under several grants; what it was not granted
// never leaves the server.
func TestCluster(t *testing.T) {
	c := new(cluster)
	api := httptest.NewTLSServer(c)
	defer api.Close()
	t.Setenv("KUBECONFIG", kubeconfig(t, api))
	module := guests.File(t, guests.Module(t, "reads_namespace"))
	s := started(t, launch(t, map[string]string{"policies": fmt.Sprintf(`
granted: {module: %[1]q, contextAwareResources: [{apiVersion: v1, kind: Namespace}], hostCapabilities: ["kubernetes/get_resource"]}
without-kind: {module: %[1]q, contextAwareResources: [{apiVersion: v1, kind: Pod}], hostCapabilities: ["*"]}
without-capability: {module: %[1]q, contextAwareResources: [{apiVersion: v1, kind: Namespace}], hostCapabilities: []}
`, module)}))
	if n := c.requests.Load(); n != 0 {
		t.Errorf("the API server was asked %d times before any policy asked", n)
	}
	for policy, want := range map[string]string{
		"without-kind":       "Policy has not been granted access to Kubernetes v1/Namespace resources. The violation has been reported.",
		"without-capability": "Policy has not been granted access to the 'kubernetes/get_resource' host capability. The violation has been reported.",
	} {
		_, body := s.post(t, "/validate/"+policy, []byte(pod))
		response := apiserver.Check(t, []byte(pod), body)
		if response.Allowed || !strings.Contains(response.Result.Message, want) || c.requests.Load() != 0 {
			t.Errorf("%s: %s after %d requests", policy, body, c.requests.Load())
		}
	}
	for range 2 {
		_, body := s.post(t, "/validate/granted", []byte(pod))
		if response := apiserver.Check(t, []byte(pod), body); !response.Allowed || c.requests.Load() != 2 {
			t.Errorf("granted: %s after %d requests, expected discovery and one read", body, c.requests.Load())
		}
	}
	log := s.output.String()
	for _, line := range []string{"Policy tried to access a Kubernetes resource it doesn't have access to", `policy_id="without-kind"`, "Policy tried to use a host capability it doesn't have access to"} {
		if !strings.Contains(log, line) && !strings.Contains(log, strings.ReplaceAll(line, `"`, "")) {
			t.Errorf("the log lacks %q:\n%s", line, log)
		}
	}
}

// kubeconfig writes a file that leads to api with the server's token, and returns its path.
func kubeconfig(t *testing.T, api *httptest.Server) string {
	t.Helper()
	folder := t.TempDir()
	authority, config := filepath.Join(folder, "ca.crt"), filepath.Join(folder, "kubeconfig")
	for file, content := range map[string]string{
		authority: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})),
		config: fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q, certificate-authority: %q}}],
  users: [{name: c, user: {token: of-the-server}}], contexts: [{name: c, context: {cluster: c, user: c}}]}`, api.URL, authority),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// TestWithoutCluster holds that having none costs the policy that asks, and only when it asks.
func TestWithoutCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	files := map[string]string{"policies": fmt.Sprintf("p: {module: %q, contextAwareResources: [{apiVersion: v1, kind: Namespace}], hostCapabilities: ['*']}",
		guests.File(t, guests.Module(t, "reads_namespace")))}
	if output := refusedToStart(t, launch(t, files)); !strings.Contains(output, "Error: Cannot connect to Kubernetes, context aware policies would not work properly") {
		t.Errorf("output is\n%s", output)
	}
	s := started(t, launch(t, files, "--ignore-kubernetes-connection-failure"))
	_, body := s.post(t, "/validate/p", []byte(pod))
	response := apiserver.Check(t, []byte(pod), body)
	if response.Allowed || !strings.Contains(response.Result.Message, "this host is not connected to a Kubernetes cluster") {
		t.Errorf("answer %s", body)
	}
}
