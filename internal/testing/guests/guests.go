// Package guests hands the tiny guests of runtime/testdata to tests as what they pretend to be:
// annotated policies.
package guests

import (
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"policy-server/policy"
	"policy-server/runtime/wasm"
)

// Module returns guest name with metadata: waPC of protocol v1, or WASI for the guests called
// wasi_….
func Module(t testing.TB, name string) []byte {
	t.Helper()
	metadata := `{"protocolVersion":"v1","rules":[],"mutating":false}`
	if strings.HasPrefix(name, "wasi_") {
		metadata = `{"protocolVersion":"Unknown","rules":[],"mutating":false,"executionMode":"wasi"}`
	}
	return Annotated(t, name, metadata)
}

// Annotated returns guest name with metadata, JSON, as its metadata section.
func Annotated(t testing.TB, name, metadata string) []byte {
	t.Helper()
	parsed, err := wasm.Parse(Bare(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.WithCustom(policy.MetadataSection, []byte(metadata))
}

// Bare returns guest name as it was assembled, without metadata.
func Bare(t testing.TB, name string) []byte {
	t.Helper()
	return read(t, filepath.Join(folder(t), "../../../runtime/testdata", name+".wasm"))
}

// Command builds podcommand, a WASI command in Go, and returns it without metadata. What the go
// command has built before, it does not build again.
func Command(t testing.TB) []byte {
	t.Helper()
	output := filepath.Join(t.TempDir(), "command.wasm")
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", output, "./podcommand")
	command.Dir = folder(t)
	command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if printed, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build podcommand: %v\n%s", err, printed)
	}
	return read(t, output)
}

// folder returns the path of this package.
func folder(t testing.TB) string {
	t.Helper()
	_, here, _, ok := goruntime.Caller(0)
	if !ok {
		t.Fatal("the tests were built without file names")
	}
	return filepath.Dir(here)
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// File writes module to a file of the test's own and returns its file:// URL.
func File(t testing.TB, module []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.wasm")
	if err := os.WriteFile(path, module, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}
