package e2e

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"policy-server/internal/testing/guests"
)

// answers fails unless a policy's answer holds text.
func (s *server) answers(t *testing.T, policy, text string) {
	t.Helper()
	if status, body := s.post(t, "/validate/"+policy, []byte(pod)); !strings.Contains(fmt.Sprint(status, " ", string(body)), text) {
		t.Errorf("%s: %d %s, want %q", policy, status, body, text)
	}
}

const (
	allows  = `"allowed":true`
	refuses = `"allowed":false`
)

// TestReload changes the policies file while a client never stops asking: policies come, change,
// break and go, and the file breaks as a whole. No request of a policy that stays fails.
func TestReload(t *testing.T) {
	t.Parallel()
	accepts, rejects := guests.File(t, guests.Module(t, "accepts")), guests.File(t, guests.Module(t, "rejects"))
	entry := func(id, module string) string { return fmt.Sprintf("%s: {module: %q}\n", id, module) }
	stays := entry("stays", accepts)
	s := started(t, launch(t, map[string]string{"policies": stays}))
	over := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		for asked := 0; ; asked++ {
			select {
			case <-over:
				if asked < 10 {
					t.Errorf("%d requests meanwhile", asked)
				}
				return
			default:
				s.answers(t, "stays", allows)
			}
		}
	})
	s.rewrite(t, "policies", stays+entry("comes", rejects))
	s.waitFor(t, "policies loaded generation=2")
	s.answers(t, "comes", refuses)
	s.rewrite(t, "policies", stays+entry("comes", accepts))
	s.waitFor(t, "policies loaded generation=3")
	s.answers(t, "comes", allows)
	s.rewrite(t, "policies", stays+entry("comes", "file:///none.wasm"))
	s.waitFor(t, "policies loaded generation=4")
	s.waitFor(t, `policy keeps its last good version policy_id="comes"`)
	s.answers(t, "comes", allows)
	s.rewrite(t, "policies", stays+"comes: [")
	s.waitFor(t, "reload failed: what was served before is served on")
	s.answers(t, "comes", allows)
	s.rewrite(t, "policies", stays)
	s.waitFor(t, "policies loaded generation=5")
	s.answers(t, "comes", "404")
	if err := s.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.waitFor(t, `reloading because="SIGHUP"`)
	s.waitFor(t, "policies loaded generation=6")
	close(over)
	client.Wait()
	s.stop(t)
}

// TestReload_verification changes the verification config and the sources: what is served is held
// against the config that is in force, and registries are reached as the sources say.
func TestReload_verification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(t, w.trusted, w.push(t, "p", "accepts"), nil)
	files := w.files("")
	s := started(t, launch(t, files))
	s.answers(t, "p", allows)
	other := strings.Replace(files["verification-path"], indent(string(w.trusted.PublicKeyPEM())), indent(string(w.unknown.PublicKeyPEM())), 1)
	s.rewrite(t, "verification-path", other)
	s.waitFor(t, "policies loaded generation=2")
	s.answers(t, "p", "Policy 'p' cannot be verified")
	s.rewrite(t, "verification-path", "allOf: 1")
	s.waitFor(t, "reload failed: what was served before is served on")
	s.answers(t, "p", "Policy 'p' cannot be verified")
	s.rewrite(t, "verification-path", files["verification-path"])
	s.waitFor(t, "policies loaded generation=3")
	s.answers(t, "p", allows)

	w.sign(t, w.trusted, w.push(t, "q", "rejects"), nil)
	both := files["policies"] + fmt.Sprintf("q: {module: 'registry://%s/policies/q:v1'}\n", w.host)
	s.rewrite(t, "sources-path", "{}")
	s.waitFor(t, "policies loaded generation=4")
	s.rewrite(t, "policies", both)
	s.waitFor(t, "policies loaded generation=5")
	s.answers(t, "q", "Error while downloading policy 'q'")
	s.answers(t, "p", allows)
	s.rewrite(t, "sources-path", files["sources-path"])
	s.waitFor(t, "policies loaded generation=6")
	s.answers(t, "q", refuses)
	s.stop(t)
}
