package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/internal/testing/apiserver"
	"policy-server/internal/testing/guests"
)

// TestCommand takes a policy that is a WASI command from its build to its verdicts: annotated and
// run by policyctl, and served. What one request brought is gone before the next.
func TestCommand(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	metadata := writeIn(t, folder, "metadata.yml", "rules: []\nmutating: false\nexecutionMode: wasi\n")
	guest := writeIn(t, folder, "guest.wasm", string(guests.Command(t)))
	policy := filepath.Join(folder, "policy.wasm")
	if _, stderr, code := policyctl(t, "annotate", "-m", metadata, "-o", policy, guest); code != 0 {
		t.Fatal(stderr)
	}
	s := started(t, launch(t, map[string]string{"policies": "command: {module: 'file://" + policy + "'}\n"}))
	cases := []struct {
		name    string
		allowed bool
	}{{"pod_privileged", false}, {"pod_accepted", true}, {"pod_privileged", false}, {"pod_accepted", true}}
	for _, c := range cases {
		file := filepath.Join("../../policies-examples/pod-privileged/cases", c.name, "request.json")
		request, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		status, body := s.post(t, "/validate/command", request)
		response := apiserver.Check(t, request, body)
		if status != http.StatusOK || response.Allowed != c.allowed || (!c.allowed && response.Result.Code != 0) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
		printed, stderr, code := policyctl(t, "run", "-r", file, policy)
		var ran struct{ Allowed bool }
		if err := json.Unmarshal([]byte(printed), &ran); err != nil || code != 0 || ran.Allowed != c.allowed {
			t.Errorf("%s by policyctl: %s%s", c.name, printed, stderr)
		}
	}
	s.stop(t)
	if output := s.output.String(); strings.Contains(output, "policy runs in a new instance for each request") {
		t.Errorf("the command is not held but run anew each time:\n%s", output)
	}
}
