// Package benches measures what a request costs, and what a start costs, over the example policies
// and through exported APIs. Sub-benchmarks are named mode=…/policy=…/object=… so that benchstat
// can pivot them. Run them with `make bench`; what they said last is in README.md.
package benches

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/hostcalls"
	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
	"policy-server/policy"
	"policy-server/registry"
	"policy-server/runtime"
	"policy-server/runtime/turns"
	"policy-server/server"
)

// sizes are the objects under review: a Pod as people write it, and one that grew.
var sizes = []struct {
	name       string
	containers int
}{{"2KB", 4}, {"40KB", 120}}

// review returns an AdmissionReview of a Pod with that many unprivileged containers.
func review(tb testing.TB, containers int) []byte {
	tb.Helper()
	var list strings.Builder
	for i := range containers {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `{"name":"container-%d","image":"registry.example/team/application:v1.2.3","env":[{"name":"LOG_LEVEL","value":"info"},{"name":"PORT","value":"8080"}],"resources":{"limits":{"cpu":"500m","memory":"256Mi"}},"securityContext":{"privileged":false}}`, i)
	}
	body := fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},"name":"web-0","namespace":"shop","operation":"CREATE","userInfo":{"username":"admin","groups":["system:authenticated"]},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-0","namespace":"shop","labels":{"app":"web","env":"prod"}},"spec":{"securityContext":{"seccompProfile":{"type":"RuntimeDefault"}},"containers":[%s]}},"oldObject":null,"dryRun":false,"options":null}}`, list.String())
	if !json.Valid(body) {
		tb.Fatal("the review is not JSON")
	}
	return body
}

// newLoader returns a loader over a runtime of its own.
func newLoader(tb testing.TB, config runtime.Config) *policy.Loader {
	tb.Helper()
	engine, err := runtime.Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = engine.Close(context.Background()) })
	client, err := registry.Open(registry.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return &policy.Loader{
		Registry: client, Verifier: policy.AllowUnsignedUnsafe{}, Engine: engine,
		Calls: hostcalls.NewDispatcher(nil, zap.NewNop()), Timeout: 10 * time.Second, Log: zap.NewNop(),
		Turns: turns.New(turns.Config{Places: goruntime.GOMAXPROCS(0)}),
	}
}

// subjects are the policies measured: a tiny guest that only answers, which shows what the host
// costs, and a real one.
func subjects(tb testing.TB) map[string]string {
	tb.Helper()
	return map[string]string{
		"accepts":        guests.File(tb, guests.Module(tb, "accepts")),
		"pod-privileged": guests.File(tb, examples.Build(tb, "pod-privileged")),
	}
}

// newEvaluator returns an evaluator that serves each subject in each mode, under the name
// MODE.SUBJECT.
func newEvaluator(tb testing.TB) *policy.Evaluator {
	tb.Helper()
	var definitions []policy.Definition
	for name, module := range subjects(tb) {
		for _, mode := range modes {
			definitions = append(definitions, policy.Definition{ID: served(mode, name), Module: module, Sandbox: mode})
		}
	}
	live := new(policy.Live)
	set := newLoader(tb, runtime.Config{}).Load(tb.Context(), definitions, nil)
	if err := set.Err(); err != nil {
		tb.Fatal(err)
	}
	if err := live.Swap(tb.Context(), set); err != nil {
		tb.Fatal(err)
	}
	return policy.NewEvaluator(live, policy.EvaluatorConfig{})
}

// measured are the examples whose figures benches/README.md has. They ask nothing of the host,
// which is not what is measured here.
func measured() []string {
	return []string{"default-seccomp", "pod-privileged", "raw-quota", "safe-labels"}
}

// modes are the ways to a clean instance.
var modes = []runtime.Mode{runtime.ModeReset, runtime.ModeFresh}

func served(mode runtime.Mode, name string) policy.ID { return policy.ID(string(mode) + "." + name) }

// BenchmarkCompile is what a start costs for each module: an engine is opened, and compiles it or
// finds it compiled.
func BenchmarkCompile(b *testing.B) {
	for _, cache := range []string{"cold", "warm"} {
		for _, name := range []string{"pod-privileged", "safe-labels"} {
			module := examples.Build(b, name)
			b.Run(fmt.Sprintf("cache=%s/policy=%s", cache, name), func(b *testing.B) {
				var config runtime.Config
				if cache == "warm" {
					config.CodeFolder = b.TempDir()
					compileOnce(b, config, module)
				}
				b.SetBytes(int64(len(module)))
				b.ReportAllocs()
				for b.Loop() {
					compileOnce(b, config, module)
				}
			})
		}
	}
}

func compileOnce(b *testing.B, config runtime.Config, module []byte) {
	engine, err := runtime.Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := engine.Compile(b.Context(), module, runtime.WaPC); err != nil {
		b.Fatal(err)
	}
	if err := engine.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStart is a start with 20 policies, from an empty process to a served set: compile or
// find compiled, check settings, make and prove images. They are over the four example modules, or
// over 20 that differ in a text, so that nothing can be shared.
func BenchmarkStart(b *testing.B) {
	for _, modules := range []int{4, 20} {
		definitions := startDefinitions(b, modules)
		for _, cache := range []string{"cold", "warm"} {
			b.Run(fmt.Sprintf("policies=20/modules=%d/cache=%s", modules, cache), func(b *testing.B) {
				folder := b.TempDir()
				if cache == "warm" {
					start(b, folder, definitions)
				}
				before := processorTime(b)
				for b.Loop() {
					if cache == "cold" {
						folder = b.TempDir()
					}
					start(b, folder, definitions)
				}
				b.ReportMetric(milliseconds(processorTime(b)-before)/float64(b.N), "ms-cpu/op")
			})
		}
	}
}

// startDefinitions returns 20 policies over that many modules, each with settings of its own where
// it takes any.
func startDefinitions(b *testing.B, modules int) []policy.Definition {
	settings := map[string]string{"default-seccomp": `{}`, "pod-privileged": `{}`, "raw-quota": `{"default":%d}`, "safe-labels": `{"denied_labels":["label-%d"]}`}
	names := measured()
	var definitions []policy.Definition
	files := make([]string, modules)
	for i := range 20 {
		name, file := names[i%len(names)], &files[i%modules]
		if *file == "" {
			*file = guests.File(b, distinct(b, examples.Build(b, name), i))
		}
		text := settings[name]
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, i)
		}
		definitions = append(definitions, policy.Definition{ID: policy.ID(fmt.Sprintf("%s-%d", name, i)), Module: *file, Settings: []byte(text)})
	}
	return definitions
}

// distinct returns the module with a text of Go's runtime altered. A section added to it would not
// do: compiled code is kept by what is compiled, without custom sections.
func distinct(b *testing.B, module []byte, i int) []byte {
	const text = "all goroutines are asleep"
	if !bytes.Contains(module, []byte(text)) {
		b.Fatalf("the module does not contain %q", text)
	}
	return bytes.Replace(module, []byte(text), fmt.Appendf(nil, "%03d%s", i, text[3:]), 1)
}

// processorTime is what all processors have worked for this process, which others on the machine do
// not disturb as they do the time on the wall.
func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func start(b *testing.B, folder string, definitions []policy.Definition) {
	engine, err := runtime.Open(b.Context(), runtime.Config{CodeFolder: folder})
	if err != nil {
		b.Fatal(err)
	}
	loader := newLoader(b, runtime.Config{})
	loader.Engine = engine
	set := loader.Load(b.Context(), definitions, nil)
	if err := errors.Join(set.Err(), set.Close(b.Context()), engine.Close(b.Context())); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkScan is what reading a review and splicing the guest's payload cost.
func BenchmarkScan(b *testing.B) {
	for _, size := range sizes {
		body := review(b, size.containers)
		b.Run("object="+size.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				request, err := admission.ParseReview(body)
				if err != nil || len(request.Payload([]byte(`{}`))) == 0 {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEvaluate is one request through one policy, without HTTP.
func BenchmarkEvaluate(b *testing.B) {
	evaluator := newEvaluator(b)
	for _, mode := range modes {
		for _, name := range []string{"accepts", "pod-privileged"} {
			for _, size := range sizes {
				body := review(b, size.containers)
				b.Run(fmt.Sprintf("mode=%s/policy=%s/object=%s", mode, name, size.name), func(b *testing.B) {
					evaluate(b, evaluator, served(mode, name), body)
					b.ReportAllocs()
					for b.Loop() {
						evaluate(b, evaluator, served(mode, name), body)
					}
				})
			}
		}
	}
}

// BenchmarkEvaluateParallel is the same from many goroutines.
func BenchmarkEvaluateParallel(b *testing.B) {
	evaluator := newEvaluator(b)
	body := review(b, sizes[0].containers)
	for _, mode := range modes {
		for _, name := range []string{"accepts", "pod-privileged"} {
			b.Run(fmt.Sprintf("mode=%s/policy=%s/object=%s", mode, name, sizes[0].name), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						evaluate(b, evaluator, served(mode, name), body)
					}
				})
			})
		}
	}
}

func evaluate(b *testing.B, evaluator *policy.Evaluator, id policy.ID, body []byte) {
	request, err := admission.ParseReview(body)
	if err != nil {
		b.Fatal(err)
	}
	response, err := evaluator.Evaluate(b.Context(), id, request, policy.FromWebhook)
	if err != nil || !response.Allowed {
		b.Fatalf("%+v, %v", response, err)
	}
}

// BenchmarkHTTP is one request over a kept connection on loopback.
func BenchmarkHTTP(b *testing.B) {
	s := httptest.NewServer(server.New(server.Config{}, newEvaluator(b), zap.NewNop()).Handler())
	defer s.Close()
	for _, name := range []string{"accepts", "pod-privileged"} {
		for _, size := range sizes {
			body := review(b, size.containers)
			b.Run(fmt.Sprintf("mode=reset/policy=%s/object=%s", name, size.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					post(b, s.URL+"/validate/"+string(served(runtime.ModeReset, name)), body)
				}
			})
		}
	}
}

func post(b *testing.B, url string, body []byte) {
	response, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Contains(answer, []byte(`"allowed":true`)) {
		b.Fatalf("%s, %v", answer, err)
	}
}

// TestBenchmarksMeasureTheExamples keeps the benchmarks compiling against the examples' cases: a
// renamed example fails here and not when somebody wants a number.
func TestBenchmarksMeasureTheExamples(t *testing.T) {
	for _, name := range measured() {
		if found, err := filepath.Glob(filepath.Join(examples.Folder(t), name, "metadata.yml")); err != nil || len(found) != 1 {
			t.Errorf("example %s: %v, %v", name, found, err)
		}
	}
	for _, size := range sizes {
		if request, err := admission.ParseReview(review(t, size.containers)); err != nil || request.UID() == "" {
			t.Errorf("%s: %v", size.name, err)
		}
	}
}
