// Package neighbours has policies that misbehave, each in a way of its own, and a server in which
// they live beside others. It is what benchmarks and soaks share.
package neighbours

import (
	"context"
	"net/http/httptest"
	goruntime "runtime"
	"testing"
	"time"

	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
	"policy-server/policy"
	"policy-server/registry"
	"policy-server/runtime"
	"policy-server/runtime/turns"
	"policy-server/server"
)

// Kinds are the names of the policies that misbehave. Each does so until its time limit: they loop,
// recurse, fill memory, sleep, and wait in a host call that never answers. The last one does
// nothing wrong and is only asked often.
func Kinds() []string { return []string{"loops", "recurses", "fills", "sleeps", "waits", "popular"} }

// Definitions returns the policies of those kinds, by name, with a time limit.
func Definitions(tb testing.TB, limit time.Duration) map[string]policy.Definition {
	tb.Helper()
	grants, err := hostcalls.ParseGrants([]string{"kubernetes/*"})
	if err != nil {
		tb.Fatal(err)
	}
	modules := map[string][]byte{"popular": examples.Build(tb, "pod-privileged")}
	for kind, guest := range map[string]string{
		"loops": "loops_forever", "recurses": "recurses_and_loops", "fills": "fills_memory_forever", "sleeps": "sleeps", "waits": "reads_namespace",
	} {
		modules[kind] = guests.Module(tb, guest)
	}
	definitions := map[string]policy.Definition{}
	for _, kind := range Kinds() {
		definitions[kind] = policy.Definition{
			ID: policy.ID(kind), Module: guests.File(tb, modules[kind]), Timeout: &limit,
			Grants: grants, Resources: []policy.Resource{{APIVersion: "v1", Kind: "Namespace"}},
		}
	}
	return definitions
}

// neverAnswers is a cluster that takes every question and answers none.
func neverAnswers() hostcalls.Capability {
	perform := func(ctx context.Context) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return hostcalls.Capability{Path: hostcalls.KubernetesGetResource, Understand: func([]byte) (hostcalls.Request, error) {
		return hostcalls.Request{Reads: hostcalls.Resource{APIVersion: "v1", Kind: "Namespace"}, Perform: perform}, nil
	}}
}

// Server is a policy server on a socket of its own.
type Server struct {
	URL   string
	Turns *turns.Scheduler

	http   *httptest.Server
	live   *policy.Live
	engine *runtime.Engine
	places int
}

// Serve serves the definitions, with what cfg bounds, as the program does. The caller closes the
// server.
func Serve(tb testing.TB, cfg turns.Config, definitions ...policy.Definition) *Server {
	tb.Helper()
	if cfg.Places == 0 {
		cfg.Places = goruntime.NumCPU()
	}
	s := &Server{live: new(policy.Live), Turns: turns.New(cfg), places: cfg.Places}
	var err error
	if s.engine, err = runtime.Open(tb.Context(), runtime.Config{}); err != nil {
		tb.Fatal(err)
	}
	client, err := registry.Open(registry.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	loader := &policy.Loader{
		Registry: client, Verifier: policy.AllowUnsignedUnsafe{}, Engine: s.engine, Log: zap.NewNop(), Turns: s.Turns,
		Calls: hostcalls.NewDispatcher([]hostcalls.Capability{neverAnswers()}, zap.NewNop()), Timeout: 2 * time.Second,
	}
	set := loader.Load(tb.Context(), definitions, nil)
	if err := set.Err(); err != nil {
		tb.Fatal(err)
	}
	if err := s.live.Swap(tb.Context(), set); err != nil {
		tb.Fatal(err)
	}
	evaluator := policy.NewEvaluator(s.live, policy.EvaluatorConfig{})
	s.http = httptest.NewServer(server.New(server.Config{}, evaluator, zap.NewNop()).Handler())
	s.URL = s.http.URL
	return s
}

// UseProcessors has Go use one processor more than guests may, as the program does, until restore
// is called.
func (s *Server) UseProcessors() (restore func()) {
	before := goruntime.GOMAXPROCS(s.places + 1)
	return func() { goruntime.GOMAXPROCS(before) }
}

// Close waits for what runs, and frees everything.
func (s *Server) Close(tb testing.TB) {
	tb.Helper()
	s.http.Close()
	ctx := context.WithoutCancel(tb.Context())
	if err := s.live.Retire(ctx); err != nil {
		tb.Error(err)
	}
	if err := s.engine.Close(ctx); err != nil {
		tb.Error(err)
	}
}
