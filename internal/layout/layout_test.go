// Package layout holds the shape of the tree: which of our packages may import which, and where the
// heavy dependencies may be named. It reads the files instead of asking the go command, whose
// answer would come from a cache that the change under test does not invalidate.
package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport lists, for each package, what it may import of ours. A new arrow is one line here and a
// paragraph in RATIONALE.md. Tests are free: they may use internal/ and their neighbours.
var mayImport = map[string][]string{
	"admission":               {},
	"hostcalls":               {},
	"hostcalls/certificates":  {"hostcalls"},
	"hostcalls/dns":           {"hostcalls"},
	"hostcalls/kubernetes":    {"hostcalls"},
	"hostcalls/oci":           {"hostcalls", "registry", "registry/evidence", "registry/trust", "registry/verify"},
	"hostcalls/session":       {"hostcalls"},
	"registry":                {"registry/internal/proof"},
	"registry/internal/proof": {},
	"registry/sign":           {},
	"registry/trust":          {},
	"registry/evidence":       {"registry", "registry/trust"},
	"registry/verify":         {"registry", "registry/evidence", "registry/trust", "registry/internal/proof"},
	"runtime":                 {"runtime/wasm", "runtime/sandbox", "runtime/wapc", "runtime/wasi"},
	"runtime/turns":           {},
	"runtime/wasm":            {},
	"runtime/sandbox":         {"runtime/wasm"},
	"runtime/wapc":            {"runtime/sandbox"},
	"runtime/wasi":            {"runtime/sandbox"},
	"policy":                  {"admission", "runtime/turns", "hostcalls", "registry", "runtime", "runtime/wasm"},
	"server":                  {"admission", "policy"},
	"server/certs":            {},
}

// leaves are the packages below all others: every package may import them. What a leaf imports of
// ours stands here.
var leaves = map[string][]string{
	"document": {"jsontext"},
	"flight":   {},
	"folder":   {},
	"jsontext": {},
}

// wiring may import everything: binaries, and the test support that plays user.
var wiring = []string{"cmd/", "internal/", "benches"}

// confined says where a heavy dependency may be imported; its types stay there.
var confined = map[string][]string{
	"github.com/sigstore/":                     {"registry/evidence", "registry/trust", "registry/sign", "internal/testing/signer", "internal/testing/sigstorehttp", "internal/testing/sigstoretest"},
	"github.com/theupdateframework/":           {"registry/trust", "internal/testing/sigstoretest"},
	"github.com/transparency-dev/":             {"internal/testing/sigstoretest"},
	"google/certificate-transparency-go":       {"internal/testing/sigstoretest"},
	"github.com/digitorus/":                    {"internal/testing/sigstorehttp", "internal/testing/sigstoretest"},
	"github.com/tetratelabs/":                  {"runtime/sandbox", "runtime/wapc", "runtime/wasi"},
	"go.yaml.in/yaml/":                         {"document"},
	"github.com/spf13/":                        {"cmd/"},
	"github.com/jedib0t/":                      {"cmd/"},
	"github.com/go-chi/":                       {"server"},
	"github.com/Masterminds/":                  {"policy"},
	"github.com/fsnotify/":                     {"folder"},
	"github.com/go-logr/":                      {"hostcalls/kubernetes"},
	"k8s.io/":                                  {"hostcalls/kubernetes", "internal/"},
	"github.com/evanphx/":                      {"internal/"},
	"golang.org/x/net/http/":                   {"registry"},
	"golang.org/x/crypto/x509roots/":           {"hostcalls/certificates"},
	"google/go-containerregistry/pkg/registry": {"internal/"}, // the in-process registry is test support
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for file, imports := range sources(t) {
		pkg := filepath.ToSlash(filepath.Dir(file))
		seen[pkg] = true
		for _, imported := range imports {
			if ours, ok := strings.CutPrefix(imported, "policy-server/"); ok {
				if !matches(wiring, pkg) && !allowed(pkg, ours) {
					t.Errorf("%s imports %s: not an arrow of this project", file, ours)
				}
				continue
			}
			for prefix, places := range confined {
				if strings.Contains(imported, prefix) && !matches(places, pkg) {
					t.Errorf("%s imports %s: it belongs in %v only", file, imported, places)
				}
			}
		}
	}
	for pkg := range seen {
		if !listed(pkg) && !matches(wiring, pkg) {
			t.Errorf("package %s has no line in mayImport", pkg)
		}
	}
	for _, table := range []map[string][]string{mayImport, leaves} {
		for pkg := range table {
			if !seen[pkg] {
				t.Errorf("%s is listed and does not exist", pkg)
			}
		}
	}
}

func listed(pkg string) bool {
	_, above := mayImport[pkg]
	_, leaf := leaves[pkg]
	return above || leaf
}

// allowed reports whether pkg may import ours: an arrow of mayImport, or a leaf. Leaves import what
// their own line says.
func allowed(pkg, ours string) bool {
	if imports, leaf := leaves[pkg]; leaf {
		return slices.Contains(imports, ours)
	}
	_, leaf := leaves[ours]
	return leaf || slices.Contains(mayImport[pkg], ours)
}

// TestSDKHasNoDependencies holds the promise made to policy authors.
func TestSDKHasNoDependencies(t *testing.T) {
	goMod, err := os.ReadFile("../../sdk/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(goMod), "require") {
		t.Errorf("sdk/go.mod requires something:\n%s", goMod)
	}
}

// TestNames keeps packages from being called after what they are made of.
func TestNames(t *testing.T) {
	for file := range sources(t) {
		for _, banned := range []string{"util", "utils", "common", "types", "helpers", "manager"} {
			if slices.Contains(strings.Split(filepath.ToSlash(filepath.Dir(file)), "/"), banned) {
				t.Errorf("%s: a package called %s says nothing", file, banned)
			}
		}
	}
}

// TestPackageComments holds that each package says what it owns.
func TestPackageComments(t *testing.T) {
	documented := map[string]int{}
	for file := range sources(t) {
		parsed := parse(t, file, parser.PackageClauseOnly|parser.ParseComments)
		pkg := filepath.Dir(file)
		if documented[pkg] += 0; parsed.Doc != nil {
			documented[pkg]++
		}
	}
	for pkg, comments := range documented {
		if comments != 1 {
			t.Errorf("package %s has %d package comments, want 1", pkg, comments)
		}
	}
}

func matches(places []string, pkg string) bool {
	return slices.ContainsFunc(places, func(place string) bool {
		return pkg == place || strings.HasSuffix(place, "/") && strings.HasPrefix(pkg, place)
	})
}

// sources returns the Go files of the main module that are not tests, with what each imports.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		relative, err := filepath.Rel("../..", path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == "testdata" || name == "build" || relative != "." && strings.HasPrefix(name, ".") ||
				relative == "sdk" || relative == "policies-examples" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			files[relative] = importsOf(t, relative)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no sources found")
	}
	return files
}

func importsOf(t *testing.T, file string) []string {
	t.Helper()
	var imports []string
	for _, spec := range parse(t, file, parser.ImportsOnly).Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		imports = append(imports, path)
	}
	return imports
}

func parse(t *testing.T, file string, mode parser.Mode) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", file), nil, mode)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
