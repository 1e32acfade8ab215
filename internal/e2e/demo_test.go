package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"policy-server/internal/testing/apiserver"
	"policy-server/internal/testing/examples"
)

// TestDemo runs what `make run` runs and does what the README says to try.
func TestDemo(t *testing.T) {
	t.Parallel()
	modules := t.TempDir()
	for _, name := range examples.Names() {
		if err := os.WriteFile(filepath.Join(modules, name+".wasm"), examples.Build(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	port, readiness := freePort(t), freePort(t)
	output := new(buffer)
	demo := exec.Command(filepath.Join(plain, "demo"), "-server", filepath.Join(plain, "policy-server"), "-modules", modules,
		"-port", fmt.Sprint(port), "-readiness-port", fmt.Sprint(readiness))
	demo.Stdout, demo.Stderr = output, output
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	t.Cleanup(func() { _ = demo.Process.Kill() })
	folder := untilReady(t, output, ended)

	if said := output.String(); !strings.Contains(said, "safe-labels is unsigned, so it was refused before anything of it was compiled") ||
		!strings.Contains(said, "Policy 'safe-labels' cannot be verified: Image verification failed: missing signatures") {
		t.Errorf("the refusal of the unsigned policy is not shown:\n%s", said)
	}
	s := &server{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	tryCurls(t, s, output.String())

	if err := demo.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the demo ended with %v:\n%s", err, output.String())
		}
	case <-time.After(time.Minute):
		t.Fatalf("the demo does not stop:\n%s", output.String())
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", folder, err)
	}
	if _, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
		t.Error("the server still listens")
	}
}

// untilReady waits for the demo's last word and returns its temporary folder.
func untilReady(t *testing.T, output *buffer, ended <-chan error) string {
	t.Helper()
	farewell := regexp.MustCompile(`Ctrl-C stops everything and removes (.*)\.\n`)
	for range 1200 {
		if found := farewell.FindStringSubmatch(output.String()); found != nil {
			return found[1]
		}
		select {
		case err := <-ended:
			t.Fatalf("the demo ended: %v\n%s", err, output.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("the demo does not get ready:\n%s", output.String())
	return ""
}

// tryCurls does what each curl line of the demo's output does, and expects of the answers what the
// comments say.
func tryCurls(t *testing.T, s *server, output string) {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^  curl -s -H 'Content-Type: application/json' --data (?:@(\S+)|'(.*)') http://127\.0\.0\.1:\d+(\S+)$`).FindAllStringSubmatch(output, -1)
	if len(lines) != 5 {
		t.Fatalf("%d curl lines:\n%s", len(lines), output)
	}
	expected := []string{
		`"allowed":false,"status":{"message":"Privileged container is not allowed"}`,
		`"allowed":true,"auditAnnotations"`,
		`"allowed":true,"patchType":"JSONPatch","patch":"`,
		`"allowed":false,"status":{"message":"bootstrap failure: safe-labels: Policy 'safe-labels' cannot be verified: `,
		`"allowed":false,"status":{"message":"user \"tonio\" asks for 64 of \"cpu\", and the quota is 10","code":403}`,
	}
	for i, line := range lines {
		body := []byte(line[2])
		if line[1] != "" {
			var err error
			if body, err = os.ReadFile(filepath.Join("../..", line[1])); err != nil {
				t.Fatal(err)
			}
		}
		status, answer := s.post(t, line[3], body)
		if status != 200 || !strings.Contains(string(answer), expected[i]) {
			t.Errorf("%s: %d %s, want %s", line[0], status, answer, expected[i])
		}
		if strings.HasPrefix(line[3], "/validate/default-seccomp") {
			checkMutated(t, body, answer)
		}
	}
}

// checkMutated applies the patch of default-seccomp to the Pod under review.
func checkMutated(t *testing.T, body, answer []byte) {
	t.Helper()
	var review struct {
		Request struct{ Object json.RawMessage }
	}
	if err := json.Unmarshal(body, &review); err != nil {
		t.Fatal(err)
	}
	patched := apiserver.Patched(t, apiserver.Check(t, body, answer), review.Request.Object)
	if !bytes.Contains(patched, []byte(`"seccompProfile":{"type":"RuntimeDefault"}`)) {
		t.Errorf("patched Pod has no profile: %s", patched)
	}
}

// freePort returns a port that nobody listened on a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
