package e2e

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"policy-server/internal/testing/guests"
)

// TestSignedPolicy goes the way of a policy from its author to an operator with nothing but our
// programs: make a key pair, push, sign, and serve what the key signed and nothing else.
func TestSignedPolicy(t *testing.T) {
	t.Setenv("COSIGN_PASSWORD", "a secret")
	host, folder := startsRegistry(t), t.TempDir()
	insecure := "insecure_sources: ['" + host + "']\n"
	sources := writeIn(t, folder, "sources.yml", insecure)
	pair := filepath.Join(folder, "author")
	must := func(args ...string) {
		t.Helper()
		if _, stderr, code := policyctl(t, args...); code != 0 {
			t.Fatalf("policyctl %v: exit code %d\n%s", args, code, stderr)
		}
	}
	must("generate-key-pair", "--output-key-prefix", pair)
	public, err := os.ReadFile(pair + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	module := writeIn(t, folder, "module.wasm", string(guests.Module(t, "accepts")))
	signed := pushes(t, sources, module, host+"/signed:v1")
	must("sign", "--sources-path", sources, "--key", pair+".key", "--layout", "legacy", "-a", "env=prod", signed)
	bundled := pushes(t, sources, module, host+"/bundled:v1")
	must("sign", "--sources-path", sources, "--key", pair+".key", "--layout", "bundle", "-a", "env=prod", bundled)
	unsigned := pushes(t, sources, writeIn(t, folder, "other.wasm", string(guests.Module(t, "rejects"))), host+"/unsigned:v1")

	verification := "apiVersion: v1\nallOf:\n- kind: pubKey\n  annotations: {env: prod}\n  key: |\n    " + strings.ReplaceAll(strings.TrimSpace(string(public)), "\n", "\n    ") + "\n"
	served := started(t, launch(t, map[string]string{
		"policies":          "signed: {module: '" + host + "/signed:v1'}\nbundled: {module: '" + host + "/bundled:v1'}\n",
		"verification-path": verification,
		"sources-path":      insecure,
	}))
	const review = `{"request":{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","userInfo":{}}}`
	for _, name := range []string{"signed", "bundled"} {
		if status, answer := served.post(t, "/validate/"+name, []byte(review)); status != http.StatusOK || !strings.Contains(string(answer), `"allowed":true`) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	refused := launch(t, map[string]string{
		"policies":          "unsigned: {module: '" + unsigned + "'}\n",
		"verification-path": verification,
		"sources-path":      insecure,
	})
	if output := refusedToStart(t, refused); !strings.Contains(output, "missing signatures") {
		t.Errorf("got\n%s", output)
	}
}

func startsRegistry(t *testing.T) (host string) {
	t.Helper()
	server := httptest.NewServer(ociregistry.New(ociregistry.WithReferrersSupport(true), ociregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// pushes pushes a module and returns its reference by digest.
func pushes(t *testing.T, sources, module, repository string) string {
	t.Helper()
	pushed, stderr, code := policyctl(t, "push", "--sources-path", sources, "-o", "json", module, repository)
	if code != 0 {
		t.Fatal(stderr)
	}
	return strings.TrimSuffix(strings.TrimPrefix(pushed, `{"immutable_ref":"`), `"}`)
}

func writeIn(t *testing.T, folder, name, content string) string {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
