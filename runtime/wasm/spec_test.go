package wasm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"policy-server/runtime/wasm"
)

// specScript is a test of the WebAssembly specification as wast2json writes it.
type specScript struct {
	Commands []specCommand `json:"commands"`
}

type specCommand struct {
	Type, Name, Filename, As string
	Line                     int
	ModuleType               string `json:"module_type"`
	Action                   struct {
		Type, Field, Module string
		Args                []specValue
	}
	Expected []specValue
}

type specValue struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// TestSpecification runs the specification's own suites, which wazero carries, twice: with the
// modules as they are and with all of them rewritten and metered. Every command must come out the
// same, and what returns must be as expected.
func TestSpecification(t *testing.T) {
	const all = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst |
		experimental.CoreFeaturesTypedFunctionReferences | experimental.CoreFeaturesExceptionHandling
	root := specRoot(t)
	for _, suite := range []struct {
		name     string
		features api.CoreFeatures
		only     []string // nil: all
	}{
		{"v1", api.CoreFeaturesV1, nil},
		{"v2", api.CoreFeaturesV2, nil},
		{"tail-call", all, nil},
		{"extended-const", api.CoreFeaturesV2 | experimental.CoreFeaturesExtendedConst, nil},
		{"typed-function-references", api.CoreFeaturesV2 | experimental.CoreFeaturesTypedFunctionReferences | experimental.CoreFeaturesTailCall, nil},
		{"exception-handling", all, nil},
	} {
		t.Run(suite.name, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(root, suite.name, "testdata", "*.json"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no scripts in %s: %v", suite.name, err)
			}
			var n specCounts
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
					compareScript(t, file, suite.features, &n)
				})
			}
			t.Logf("%d scripts: %d modules, %d assertions on calls, %d modules rejected with and without (%d of them by Rewrite)",
				len(files), n.modules, n.calls, n.rejected, n.refused)
			if n.modules == 0 || n.calls == 0 {
				t.Error("the suite tested nothing")
			}
		})
	}
}

type specCounts struct{ modules, calls, rejected, refused int }

func specRoot(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
}

func compareScript(t *testing.T, file string, features api.CoreFeatures, n *specCounts) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script specScript
	if err := json.Unmarshal(b, &script); err != nil {
		t.Fatal(err)
	}
	same := func(code []byte) ([]byte, error) { return code, nil }
	metered := func(code []byte) ([]byte, error) {
		r, err := wasm.Rewrite(code, wasm.Options{Meter: &wasm.Meter{Module: "host", Name: "tick", Fuel: specFuel}, KeepMemoryImport: true})
		return r.Code, err
	}
	original := newSpecRun(t, file, features, same)
	rewritten := newSpecRun(t, file, features, metered)
	for _, c := range script.Commands {
		want, got := original.run(t, c), rewritten.run(t, c)
		if got.text != want.text {
			t.Errorf("line %d, %s: got %s, without rewriting %s (%v)", c.Line, c.Type, got.text, want.text, got.err)
		}
		switch {
		case c.Type == "module":
			n.modules++
		case strings.HasPrefix(c.Type, "assert_") && c.Action.Type != "":
			n.calls++
		case want.text == "rejected":
			n.rejected++
			if strings.Contains(fmt.Sprintf("%T", got.err), "FormatError") {
				n.refused++
			}
		}
	}
}

// specFuel is little, so that the tick is called often.
const specFuel = 5

// specRun is one run of a script.
type specRun struct {
	folder  string
	runtime wazero.Runtime
	rewrite func([]byte) ([]byte, error)
	named   map[string]api.Module
	last    api.Module
	spare   int
}

func newSpecRun(t *testing.T, file string, features api.CoreFeatures, rewrite func([]byte) ([]byte, error)) *specRun {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features))
	t.Cleanup(func() { r.Close(ctx) })
	tick := func(_ context.Context, m api.Module, _ []uint64) {
		m.ExportedGlobal("policy-server.fuel").(api.MutableGlobal).Set(specFuel)
	}
	_, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(tick), nil, nil).Export("tick").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &specRun{folder: filepath.Dir(file), runtime: r, rewrite: rewrite, named: map[string]api.Module{}}
	spectest, err := os.ReadFile(filepath.Join(s.folder, "..", "..", "testdata", "spectest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.instantiate(spectest, "spectest"); err != nil {
		t.Fatal(err)
	}
	return s
}

// specOutcome is what came of a command, as text to compare.
type specOutcome struct {
	text string
	err  error
}

func (s *specRun) run(t *testing.T, c specCommand) specOutcome {
	switch {
	case c.Type == "register":
		m := s.last
		if c.Name != "" {
			m = s.named[c.Name]
		}
		return s.register(m, c.As)
	case c.Filename != "" && c.ModuleType != "text":
		m, err := s.load(t, c)
		if err != nil {
			return specOutcome{"rejected", err}
		}
		if c.Type == "module" {
			s.last, s.named[c.Name] = m, m
		}
		return specOutcome{text: "instantiated"}
	case c.Action.Type == "invoke":
		return s.invoke(t, c)
	case c.Action.Type == "get":
		return specOutcome{text: fmt.Sprint(s.target(c).ExportedGlobal(c.Action.Field).Get())}
	}
	return specOutcome{}
}

func (s *specRun) target(c specCommand) api.Module {
	if c.Action.Module != "" {
		return s.named[c.Action.Module]
	}
	return s.last
}

func (s *specRun) load(t *testing.T, c specCommand) (api.Module, error) {
	b, err := os.ReadFile(filepath.Join(s.folder, c.Filename))
	if err != nil {
		t.Fatal(err)
	}
	s.spare++
	return s.instantiate(b, fmt.Sprintf("spare %d", s.spare))
}

func (s *specRun) instantiate(code []byte, name string) (api.Module, error) {
	code, err := s.rewrite(code)
	if err != nil {
		return nil, err
	}
	// Registered names are found by the context's resolver, since wazero names a module at
	// instantiation only.
	ctx := experimental.WithImportResolver(context.Background(), func(name string) api.Module { return s.named["as "+name] })
	return s.runtime.InstantiateWithConfig(ctx, code, wazero.NewModuleConfig().WithName(name).WithStartFunctions())
}

func (s *specRun) register(m api.Module, as string) specOutcome {
	s.named["as "+as] = m
	return specOutcome{text: "registered"}
}

func (s *specRun) invoke(t *testing.T, c specCommand) specOutcome {
	m := s.target(c)
	if m == nil {
		return specOutcome{text: "no module"}
	}
	var args []uint64
	for _, v := range c.Action.Args {
		args = append(args, v.words()...)
	}
	results, err := m.ExportedFunction(c.Action.Field).Call(context.Background(), args...)
	if err != nil {
		if c.Type == "assert_return" {
			t.Errorf("line %d: %v", c.Line, err)
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		return specOutcome{text, err}
	}
	if c.Type == "assert_return" {
		s.checkResults(t, c, results)
	}
	return specOutcome{text: hexWords(c, results)}
}

// hexWords writes results down to the bit, but references, which are addresses.
func hexWords(c specCommand, results []uint64) string {
	var b strings.Builder
	for i, r := range results {
		if i < len(c.Expected) && strings.HasSuffix(c.Expected[i].Type, "ref") {
			r = min(r, 1)
		}
		fmt.Fprintf(&b, "%x ", r)
	}
	return b.String()
}

func (s *specRun) checkResults(t *testing.T, c specCommand, results []uint64) {
	for _, v := range c.Expected {
		words := v.words()
		if len(words) > len(results) {
			t.Errorf("line %d: got %d words too few", c.Line, len(words)-len(results))
			return
		}
		if v.comparable() {
			for i, w := range words {
				if v.Type == "i32" || v.Type == "f32" {
					results[i] &= math.MaxUint32
				}
				if results[i] != w {
					t.Errorf("line %d: got %#x, want %#x", c.Line, results[i], w)
				}
			}
		}
		results = results[len(words):]
	}
}

// comparable tells whether the expectation is a value and not a class of values.
func (v specValue) comparable() bool {
	return v.Value != nil && !strings.Contains(fmt.Sprint(v.Value), "nan") && !strings.HasSuffix(v.Type, "ref")
}

// words returns the value as wazero passes it.
func (v specValue) words() []uint64 {
	lanes, ok := v.Value.([]any)
	if !ok {
		return []uint64{specWord(v.Value, v.Type)}
	}
	width := 128 / len(lanes)
	words := []uint64{0, 0}
	for i, lane := range lanes {
		at := i * width
		words[at/64] |= specWord(lane, v.LaneType) & (math.MaxUint64 >> (64 - width)) << (at % 64)
	}
	return words
}

func specWord(value any, kind string) uint64 {
	text, _ := value.(string)
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		if kind == "externref" {
			n++ // for wazero zero is null
		}
		return n
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if strings.HasSuffix(kind, "32") {
			return uint64(uint32(n))
		}
		return uint64(n)
	}
	return 0
}
