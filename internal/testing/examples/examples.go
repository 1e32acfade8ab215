// Package examples builds the policies of policies-examples for tests and benchmarks, and reads
// their cases.
package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"policy-server/policy"
	"policy-server/runtime/wasm"
)

// Names lists the example policies.
func Names() []string {
	return []string{"default-seccomp", "pod-privileged", "raw-quota", "require-attestations", "safe-labels", "trusted-repos", "unique-ingress-host", "verify-image-signatures"}
}

// Folder returns the path of policies-examples.
func Folder(t testing.TB) string {
	t.Helper()
	_, here, _, ok := goruntime.Caller(0)
	if !ok {
		t.Fatal("the tests were built without file names")
	}
	return filepath.Join(filepath.Dir(here), "../../../policies-examples")
}

// Build builds example name as its author would, and returns the module with its metadata. What the
// go command has built before, it does not build again.
func Build(t testing.TB, name string) []byte {
	t.Helper()
	output := filepath.Join(t.TempDir(), name+".wasm")
	command := exec.Command("go", "build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w", "-o", output, "./"+name)
	command.Dir = Folder(t)
	command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if printed, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build example %s: %v\n%s", name, err, printed)
	}
	return annotate(t, name, read(t, output))
}

func annotate(t testing.TB, name string, code []byte) []byte {
	t.Helper()
	metadata, err := policy.ParseMetadataYAML(read(t, filepath.Join(Folder(t), name, "metadata.yml")))
	if err != nil {
		t.Fatalf("metadata of %s: %v", name, err)
	}
	metadata.ProtocolVersion = "v1"
	encoded, err := metadata.Encode()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := wasm.Parse(code)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.WithCustom(policy.MetadataSection, encoded)
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Case is one golden case of an example.
type Case struct {
	Name     string
	Path     string // of its folder
	Settings []byte // JSON
	Request  []byte // an AdmissionReview, or a raw request; nil for a case of refused settings
	Error    string // what the policy says about its settings; "" when they are good
	Session  string // path of the file with what the policy asks its host and the answers; "" when it asks nothing
}

// Cases returns the cases of example name in which it asks its host nothing, in the order of their
// names.
func Cases(t testing.TB, name string) []Case {
	t.Helper()
	cases := casesIn(t, filepath.Join(Folder(t), name, "cases"))
	if len(cases) == 0 {
		t.Fatalf("no cases of %s", name)
	}
	return cases
}

// Sessions returns the cases of example name in which it asks its host something, in the order of
// their names.
func Sessions(t testing.TB, name string) []Case {
	t.Helper()
	cases := casesIn(t, filepath.Join(Folder(t), name, "sessions"))
	for i := range cases {
		cases[i].Session = filepath.Join(cases[i].Path, "session.yml")
	}
	return cases
}

func casesIn(t testing.TB, folder string) []Case {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	for _, folder := range folders {
		c := Case{Name: filepath.Base(folder), Path: folder, Settings: read(t, filepath.Join(folder, "settings.json"))}
		if message, err := os.ReadFile(filepath.Join(folder, "error.txt")); err == nil {
			c.Error = string(bytes.TrimRight(message, "\n"))
		} else {
			c.Request = read(t, filepath.Join(folder, "request.json"))
		}
		cases = append(cases, c)
	}
	return cases
}

// Expected returns the response the case asks for, in the form of Readable.
func (c Case) Expected(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(read(t, filepath.Join(c.Path, "response.json"))), "", "  "); err != nil {
		t.Fatalf("%s: %v", c.Path, err)
	}
	return b.String()
}

// Rewrite makes response what the case asks for.
func (c Case) Rewrite(t testing.TB, response string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.Path, "response.json"), []byte(response+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Readable returns an AdmissionResponse as people read it: indented, the patch decoded.
func Readable(response []byte) (string, error) {
	var r struct {
		UID              string          `json:"uid"`
		Allowed          bool            `json:"allowed"`
		PatchType        string          `json:"patchType,omitempty"`
		Patch            json.RawMessage `json:"patch,omitempty"`
		Status           json.RawMessage `json:"status,omitempty"`
		AuditAnnotations json.RawMessage `json:"auditAnnotations"`
		Warnings         json.RawMessage `json:"warnings"`
	}
	if err := json.Unmarshal(response, &r); err != nil {
		return "", fmt.Errorf("response %s: %w", response, err)
	}
	if r.Patch != nil {
		var decoded []byte // encoding/json reads base64 into bytes
		if err := json.Unmarshal(r.Patch, &decoded); err != nil {
			return "", fmt.Errorf("patch %s: %w", r.Patch, err)
		}
		r.Patch = decoded
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(r)
	return string(bytes.TrimRight(b.Bytes(), "\n")), err
}
