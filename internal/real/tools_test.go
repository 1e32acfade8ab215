package real

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// tool is a program of Sigstore's, built from the Go module proxy at a pinned version: the newest
// that Go 1.26 builds.
type tool struct {
	name    string // of the binary, version included
	pkg     string
	version string
}

var (
	cosign2         = tool{"cosign-v2.6.5", "github.com/sigstore/cosign/v2/cmd/cosign", "v2.6.5"}
	cosign3         = tool{"cosign-v3.1.3", "github.com/sigstore/cosign/v3/cmd/cosign", "v3.1.3"}
	fulcio          = tool{"fulcio-v1.8.8", "github.com/sigstore/fulcio", "v1.8.8"}
	rekor           = tool{"rekor-v1.5.4", "github.com/sigstore/rekor/cmd/rekor-server", "v1.5.4"}
	rekorTiles      = tool{"rekor-tiles-v2.3.0", "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix", "v2.3.0"}
	timestampServer = tool{"timestamp-server-v2.1.3", "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server", "v2.1.3"}
	ctServer        = tool{"ct-server-v1.3.2", "github.com/google/certificate-transparency-go/trillian/ctfe/ct_server", "v1.3.2"}
)

var tools = []tool{rekorTiles, timestampServer, ctServer, fulcio, rekor, cosign2, cosign3}

// root of the project's tree, and the folders below it that outlive a run of the tests.
const (
	root       = "../.."
	toolFolder = root + "/build/real"
	binFolder  = root + "/build/bin"
	modules    = root + "/build/policies"
)

func TestMain(m *testing.M) {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// build makes our own binaries and example policies anew, and each tool that is not there yet.
func build() error {
	own := exec.Command("make", "-C", root, "build", "examples")
	own.Env = without("GOWORK")
	if output, err := own.CombinedOutput(); err != nil {
		return fmt.Errorf("make build examples: %w\n%s", err, output)
	}
	for _, t := range tools {
		if err := t.build(); err != nil {
			return err
		}
	}
	return nil
}

func (t tool) build() error {
	if _, err := os.Stat(t.path()); err == nil {
		return nil
	}
	fmt.Fprintf(os.Stderr, "building %s\n", t.name)
	folder, err := os.MkdirTemp("", "real-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	install := exec.Command("go", "install", "-trimpath", "-ldflags", "-s -w", t.pkg+"@"+t.version)
	install.Env = append(os.Environ(), "GOBIN="+folder, "CGO_ENABLED=0")
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", t.name, err, output)
	}
	binary, err := os.ReadFile(filepath.Join(folder, path.Base(t.pkg)))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(toolFolder, 0o755); err != nil {
		return err
	}
	// Under its own name only when it is whole.
	aside := t.path() + ".new"
	if err := os.WriteFile(aside, binary, 0o755); err != nil {
		return err
	}
	return os.Rename(aside, t.path())
}

// path is absolute, since commands run in folders of their own.
func (t tool) path() string {
	path, err := filepath.Abs(filepath.Join(toolFolder, t.name))
	if err != nil {
		panic(err) // no working directory
	}
	return path
}

// without returns the environment less one variable.
func without(name string) []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, name+"=") {
			kept = append(kept, variable)
		}
	}
	return kept
}
