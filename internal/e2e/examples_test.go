package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/internal/testing/apiserver"
	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
)

var update = flag.Bool("update", false, "make what the server answers the expected response of each example's case")

// TestExamples runs every case of every example through the real server, and through the CLI, whose
// answer must be the same to the byte.
func TestExamples(t *testing.T) {
	modules := map[string]string{} // example → path
	var policies bytes.Buffer
	for _, name := range examples.Names() {
		modules[name] = filepath.Join(t.TempDir(), name+".wasm")
		if err := os.WriteFile(modules[name], examples.Build(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range examples.Cases(t, name) {
			fmt.Fprintf(&policies, "%s.%s: {module: 'file://%s', allowedToMutate: true, settings: %s}\n", name, c.Name, modules[name], compact(t, c.Settings))
		}
	}
	s := started(t, launchFrom(t, plain, map[string]string{"policies": policies.String()}, "--continue-on-errors", "--policy-timeout", "20"))
	for _, name := range examples.Names() {
		for _, c := range examples.Cases(t, name) {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				served := evaluate(t, s, name+"."+c.Name, c)
				if c.Error != "" {
					checkRefusedSettings(t, served, c.Error)
					return
				}
				readable, err := examples.Readable(served)
				if err != nil {
					t.Fatal(err)
				}
				if *update {
					c.Rewrite(t, readable)
				}
				if want := c.Expected(t); readable != want {
					t.Errorf("got\n%s\nwant\n%s", readable, want)
				}
				checkCLI(t, modules[name], name, c, served)
			})
		}
	}
}

// evaluate asks the server and returns the response without its envelope, as the CLI prints it.
func evaluate(t *testing.T, s *server, id string, c examples.Case) json.RawMessage {
	t.Helper()
	path, body := "/validate/"+id, c.Request
	raw := !bytes.Contains(body, []byte("AdmissionReview"))
	if raw {
		path, body = "/validate_raw/"+id, fmt.Appendf(nil, `{"request":%s}`, c.Request)
	}
	if c.Error != "" {
		path, body = "/validate_raw/"+id, []byte(`{"request":{}}`) // there is nothing to ask: its settings are refused
	}
	status, answer := s.post(t, path, body)
	if status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	if !raw {
		apiserver.Check(t, body, answer)
	}
	var review struct{ Response json.RawMessage }
	if err := json.Unmarshal(answer, &review); err != nil {
		t.Fatal(err)
	}
	return review.Response
}

func checkRefusedSettings(t *testing.T, served json.RawMessage, want string) {
	t.Helper()
	var response struct {
		Status struct {
			Message string
			Code    int
		}
	}
	if err := json.Unmarshal(served, &response); err != nil {
		t.Fatal(err)
	}
	if response.Status.Code != 500 || response.Status.Message != "Policy settings are invalid: "+want {
		t.Errorf("got %s\nwant %s", served, want)
	}
}

func checkCLI(t *testing.T, module, name string, c examples.Case, served json.RawMessage) {
	t.Helper()
	args := []string{"run", "-r", filepath.Join(c.Path, "request.json"), "-s", filepath.Join(c.Path, "settings.json"), module}
	stdout, stderr, code := policyctl(t, args...)
	if code != 0 || strings.TrimSuffix(stdout, "\n") != string(served) {
		t.Errorf("policyctl on %s: exit %d\n got %s\nwant %s\n%s", name, code, stdout, served, stderr)
	}
}

func compact(t *testing.T, document []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, document); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSessions runs every recorded case of the examples that ask their host something, through the
// CLI: no cluster and no registry is there, and what the session says must be asked, all of it and
// in its order.
func TestSessions(t *testing.T) {
	for _, name := range examples.Names() {
		cases := examples.Sessions(t, name)
		if len(cases) == 0 {
			continue
		}
		module := guests.File(t, examples.Build(t, name))
		for _, c := range cases {
			t.Run(name+"/"+c.Name, func(t *testing.T) {
				t.Parallel()
				replay(t, strings.TrimPrefix(module, "file://"), c)
			})
		}
	}
}

func replay(t *testing.T, module string, c examples.Case) {
	t.Helper()
	request := filepath.Join(c.Path, "request.json")
	if c.Error != "" { // there is nothing to ask: its settings are refused
		request = filepath.Join(t.TempDir(), "request.json")
		if err := os.WriteFile(request, []byte(pod), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stdout, stderr, code := policyctl(t, "run", "-r", request, "-s", filepath.Join(c.Path, "settings.json"),
		"--allow-context-aware", "--replay-host-capabilities-interactions", c.Session, module)
	if strings.Contains(stderr, "have not been replayed") {
		t.Errorf("not all of the session was asked for:\n%s", stderr)
	}
	if c.Error != "" {
		if want := "Provided settings are not valid: " + c.Error; code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("exit %d, stderr\n%s\nwant %s", code, stderr, want)
		}
		return
	}
	readable, err := examples.Readable([]byte(stdout))
	if code != 0 || err != nil {
		t.Fatalf("exit %d, %v\n%s", code, err, stderr)
	}
	if *update {
		c.Rewrite(t, readable)
	}
	if want := c.Expected(t); readable != want {
		t.Errorf("got\n%s\nwant\n%s", readable, want)
	}
}

// TestMutationApplies holds that the patch, applied as the API server applies it, gives the mutated
// object, and none when there is nothing to do.
func TestMutationApplies(t *testing.T) {
	t.Parallel()
	s := started(t, launch(t, map[string]string{"policies": fmt.Sprintf("m: {module: %q, allowedToMutate: true}\n", guests.File(t, guests.Module(t, "mutates")))}))
	_, body := s.post(t, "/validate/m", []byte(pod))
	response := apiserver.Check(t, []byte(pod), body)
	if got := string(apiserver.Patched(t, response, []byte(`{"a":1}`))); got != `{"mutated":true}` {
		t.Errorf("patched object %s", got)
	}
	s.stop(t)
}
