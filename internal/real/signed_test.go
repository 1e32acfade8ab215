package real

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// artifact is a policy in a registry, for one way of signing.
type artifact struct {
	reference string // HOST/REPO@DIGEST
}

// signature is a way of signing, and what the verification config has to say to accept it.
type signature struct {
	name       string
	sign       func(t *testing.T, host, reference string)
	constraint string   // YAML of one entry of the verification config
	other      string   // an entry that it must not meet
	verify     []string // cosign's command line that accepts it, without the reference; nil: not for cosign
	refused    string   // the reason when it must not be accepted although it was signed by whom the constraint names
}

// push pushes the example policy and returns the reference by digest.
func push(t *testing.T, host, name string) artifact {
	t.Helper()
	push := exec.Command(filepath.Join(absolute(t, binFolder), "policyctl"), "push", "--sources-path", sources(t, host),
		"-o", "json", filepath.Join(absolute(t, modules), "pod-privileged.wasm"), host+"/"+name+":v1")
	push.Dir = t.TempDir()
	output, err := push.Output()
	if err != nil {
		t.Fatalf("push %s: %v", name, err)
	}
	var pushed struct {
		Reference string `json:"immutable_ref"`
	}
	if err := json.Unmarshal(output, &pushed); err != nil {
		t.Fatalf("push %s: %v: %s", name, err, output)
	}
	return artifact{reference: strings.TrimPrefix(pushed.Reference, "registry://")}
}

// policyctl is one run of our CLI, with nothing of the user's around it.
func policyctl(t *testing.T, args ...string) command {
	t.Helper()
	home := t.TempDir()
	return command{
		env:  []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_CACHE_HOME=" + home},
		args: append([]string{filepath.Join(absolute(t, binFolder), "policyctl")}, args...),
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

// verification writes a verification config of one entry.
func verification(t *testing.T, entry string) string {
	t.Helper()
	text := "apiVersion: v1\nallOf:\n" + indent(entry)
	return write(t, filepath.Join(t.TempDir(), "verification.yml"), []byte(text))
}

// indent makes a mapping a list element.
func indent(entry string) string {
	lines := strings.Split(strings.TrimRight(entry, "\n"), "\n")
	return "  - " + strings.Join(lines, "\n    ") + "\n"
}
