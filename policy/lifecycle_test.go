package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ocireg "github.com/google/go-containerregistry/pkg/registry"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"policy-server/admission"
	"policy-server/hostcalls"
	"policy-server/internal/testing/guests"
	"policy-server/policy"
	"policy-server/registry"
	"policy-server/runtime"
	"policy-server/runtime/turns"
)

// newLoader returns a loader that verifies nothing and may use plain HTTP with hosts, and what it
// logs.
func newLoader(t *testing.T, hosts ...string) (*policy.Loader, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	engine, err := runtime.Open(t.Context(), runtime.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	client, err := registry.Open(registry.Config{Sources: registry.Sources{InsecureSources: hosts}, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Loader{
		Registry: client,
		Verifier: policy.AllowUnsignedUnsafe{},
		Engine:   engine,
		Calls:    hostcalls.NewDispatcher(nil, zap.New(core)),
		Timeout:  time.Second,
		Log:      zap.New(core),
	}, logs
}

// serveGuest returns an evaluator for one policy, called p, over guest.
func serveGuest(t *testing.T, guest string, change func(*policy.Definition)) (*policy.Evaluator, *observer.ObservedLogs) {
	t.Helper()
	loader, logs := newLoader(t)
	definition := policy.Definition{ID: "p", Module: guests.File(t, guests.Module(t, guest))}
	if change != nil {
		change(&definition)
	}
	return serve(t, loader, definition), logs
}

func serve(t *testing.T, loader *policy.Loader, definitions ...policy.Definition) *policy.Evaluator {
	t.Helper()
	live := new(policy.Live)
	if err := live.Swap(t.Context(), loader.Load(t.Context(), definitions, nil)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := live.Retire(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return policy.NewEvaluator(live, policy.EvaluatorConfig{AlwaysAccept: "trusted"})
}

func request(t *testing.T, extra string) *admission.Request {
	t.Helper()
	r, err := admission.ParseReview([]byte(`{"request":{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","userInfo":{}` + extra + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answer evaluates a request with policy p and returns the response as JSON, or the error.
func answer(t *testing.T, evaluator *policy.Evaluator, origin policy.Origin, extra string) string {
	t.Helper()
	response, err := evaluator.Evaluate(t.Context(), "p", request(t, extra), origin)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(admission.AppendResponse(nil, &response))
}

func refused(message string, code int) string {
	return fmt.Sprintf(`{"uid":"u1","allowed":false,"status":{"message":%q,"code":%d},"auditAnnotations":null,"warnings":null}`, message, code)
}

const allowed = `{"uid":"u1","allowed":true,"auditAnnotations":null,"warnings":null}`

func TestEvaluate(t *testing.T) {
	for guest, want := range map[string]string{
		"accepts":             allowed,
		"exits_zero_in_start": allowed,
		"wasi_accepts":        allowed,
		"rejects":             refused("refused by the test guest", 403),
		"traps":               refused("internal server error: Guest call failure: wasm trap: unreachable", 500),
		"traps_after_print":   refused("internal server error: Guest call failure: wasm trap: unreachable", 500),
		"guest_error":         refused("internal server error: Guest call failure:  out of luck ", 500),
		"no_response":         refused("internal server error: Guest call failure: No error message OR response set for call success", 500),
		"answers_not_json":    refused("internal server error: invalid response from policy: expected ident at line 1 column 2", 500),
		"answers_too_much":    refused("internal server error: Guest call failure: response of 16777217 bytes exceeds the limit of 16777216 bytes", 500),
		"exits":               refused("internal server error: Guest call failure: guest exited with code 3", 500),
		"unknown_host_call": refused("internal server error: Guest call failure: Policy has not been granted access to the "+
			"'no-such-capability/none' host capability. The violation has been reported.", 500),
		"unknown_binding":  refused("internal server error: Guest call failure: unknown binding: elsewhere", 500),
		"bad_pointer":      refused("internal server error: Guest call failure: out of bounds memory access: 16 bytes at 0x7fffffff", 500),
		"recurses_forever": "", // by the end of its stack or of its time, whichever comes first on this machine
		"wasi_exits":       refused("nope", 500),
		"wasi_traps":       refused("ouch", 500),
		"wasi_host_call":   refused("Policy has not been granted access to the 'echo/say' host capability. The violation has been reported.", 500),
	} {
		t.Run(guest, func(t *testing.T) {
			for _, mode := range []runtime.Mode{runtime.ModeReset, runtime.ModeFresh} {
				evaluator, _ := serveGuest(t, guest, func(d *policy.Definition) { d.Sandbox = mode })
				for range 3 { // a failure costs one request only, and no request sees another
					got := answer(t, evaluator, policy.FromWebhook, "")
					if got != want && (want != "" || !strings.Contains(got, `"code":500`)) {
						t.Errorf("%s\n got %s\nwant %s", mode, got, want)
					}
				}
			}
		})
	}
}

func TestEvaluate_deadline(t *testing.T) {
	second := time.Second
	timedOut := refused("Policy execution interrupted because it exceeded the allowed execution time", 500)
	for _, guest := range []string{"loops_forever", "sleeps", "wasi_loops_forever"} {
		t.Run(guest, func(t *testing.T) {
			t.Parallel()
			evaluator, logs := serveGuest(t, guest, func(d *policy.Definition) { d.Timeout = &second })
			if got := answer(t, evaluator, policy.FromWebhook, ""); got != timedOut {
				t.Errorf("the policy's own limit: got %s", got)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			began := time.Now()
			response, err := evaluator.Evaluate(ctx, "p", request(t, ""), policy.FromWebhook)
			if err != nil || string(admission.AppendResponse(nil, &response)) != timedOut || time.Since(began) > 900*time.Millisecond {
				t.Errorf("the client's sooner limit: %+v, %v after %s", response, err, time.Since(began))
			}
			if logs.FilterMessage("policy execution time exceeded").Len() != 2 {
				t.Error("not logged")
			}
		})
	}
}

func TestEvaluate_clientGone(t *testing.T) {
	evaluator, _ := serveGuest(t, "sleeps", nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if response, err := evaluator.Evaluate(ctx, "p", request(t, ""), policy.FromWebhook); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", response, err)
	}
}

// TestEvaluate_longMessage holds that a client is not told a megabyte, of which quoting makes six.
func TestEvaluate_longMessage(t *testing.T) {
	loader, _ := newLoader(t)
	evaluator := serve(t, loader, policy.Definition{ID: "p", Module: guests.File(t, guests.Module(t, "error_of_a_megabyte"))})
	response, err := evaluator.Evaluate(t.Context(), "p", request(t, ""), policy.FromWebhook)
	if err != nil || response.Allowed {
		t.Fatalf("%+v, %v", response, err)
	}
	message := *response.Status.Message
	if len(message) > 64<<10+40 || !strings.HasPrefix(message, "internal server error: Guest call failure: \x00") || !strings.HasSuffix(message, " bytes cut]") {
		t.Errorf("%d bytes: %q … %q", len(message), message[:60], message[len(message)-60:])
	}
}

// TestEvaluate_noMemory holds that a guest which runs out of memory because others hold the rest is
// not blamed for it, and that it is blamed when it wants more than it may have.
func TestEvaluate_noMemory(t *testing.T) {
	loader, _ := newLoader(t)
	const budget = 64 << 20
	scheduler := turns.New(turns.Config{Places: 2, Memory: budget})
	loader.Turns = scheduler
	minute := time.Minute
	evaluator := serve(t, loader,
		policy.Definition{ID: "sleeps", Module: guests.File(t, guests.Module(t, "sleeps")), Timeout: &minute},
		policy.Definition{ID: "hungry", Module: guests.File(t, guests.Module(t, "traps_without_memory"))},
		policy.Definition{ID: "modest", Module: guests.File(t, guests.Module(t, "traps_without_memory")), MemoryLimit: 32 << 20},
	)
	holding, release := context.WithCancel(t.Context())
	var held sync.WaitGroup
	held.Go(func() { _, _ = evaluator.Evaluate(holding, "sleeps", request(t, ""), policy.FromWebhook) })
	for scheduler.Stats().Begun == 0 {
		time.Sleep(time.Millisecond)
	}
	_, err := evaluator.Evaluate(t.Context(), "hungry", request(t, ""), policy.FromWebhook)
	var busy *policy.BusyError
	var refused *turns.RefusedError
	if !errors.As(err, &busy) || !errors.As(err, &refused) || refused.Reason != turns.NotGrown || refused.Flow != "hungry" {
		t.Errorf("more than there is: %v", err)
	}
	response, err := evaluator.Evaluate(t.Context(), "modest", request(t, ""), policy.FromWebhook)
	if err != nil || response.Allowed || *response.Status.Code != 500 {
		t.Errorf("more than it may have: %+v, %v", response.Status, err)
	}
	release()
	held.Wait()
	if got := scheduler.Stats(); got.Memory != 0 || got.Begun != 0 {
		t.Errorf("something is left: %+v", got)
	}
}

// TestEvaluate_busy holds that a request which will not begin in time is refused by name, and that
// a policy whose guests sleep or loop takes nothing of another.
func TestEvaluate_busy(t *testing.T) {
	loader, _ := newLoader(t)
	scheduler := turns.New(turns.Config{Places: 1, BegunPerFlow: 2})
	loader.Turns = scheduler
	minute := time.Minute
	live := new(policy.Live)
	if err := live.Swap(t.Context(), loader.Load(t.Context(), []policy.Definition{
		{ID: "sleeps", Module: guests.File(t, guests.Module(t, "sleeps")), Timeout: &minute},
		{ID: "loops", Module: guests.File(t, guests.Module(t, "loops_forever")), Timeout: &minute},
		{ID: "quick", Module: guests.File(t, guests.Module(t, "accepts"))},
	}, nil)); err != nil {
		t.Fatal(err)
	}
	evaluator := policy.NewEvaluator(live, policy.EvaluatorConfig{})
	holding, release := context.WithCancel(t.Context())
	var held sync.WaitGroup
	for _, id := range []policy.ID{"sleeps", "sleeps", "loops", "loops"} {
		held.Go(func() { _, _ = evaluator.Evaluate(holding, id, request(t, ""), policy.FromWebhook) })
	}
	for scheduler.Stats().Begun < 4 {
		time.Sleep(time.Millisecond)
	}
	for _, status := range live.Statuses() {
		if status.ID != "quick" && (status.Turns.Begun != 2 || status.Instances.Started == 0) {
			t.Errorf("status: %+v", status)
		}
	}
	for _, id := range []policy.ID{"sleeps", "loops"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := evaluator.Evaluate(ctx, id, request(t, ""), policy.FromWebhook)
		var busy *policy.BusyError
		var refused *turns.RefusedError
		if !errors.As(err, &busy) || !errors.As(err, &refused) || refused.Flow != string(id) || refused.Begun != 2 || ctx.Err() != nil {
			t.Errorf("%s: %v, %v", id, err, ctx.Err())
		}
		cancel()
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if response, err := evaluator.Evaluate(ctx, "quick", request(t, ""), policy.FromWebhook); err != nil || !response.Allowed {
			t.Errorf("beside them: %+v, %v", response, err)
		}
		cancel()
	}
	release()
	held.Wait()
	if got := scheduler.Stats(); got.Begun+got.Running+got.Hungry+got.Calling+got.Queued != 0 {
		t.Errorf("something is left: %+v", got)
	}
	if err := live.Retire(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEvaluate_modes(t *testing.T) {
	custom := "Custom error message"
	refusal := `{"uid":"u1","allowed":false,"status":{"message":"refused by the test guest","code":403},"auditAnnotations":null,"warnings":null}`
	customised := `{"uid":"u1","allowed":false,"status":{"message":"Custom error message","details":{"causes":[{"reason":null,"message":"refused by the test guest","field":null}]},"code":403},"auditAnnotations":null,"warnings":null}`
	const (
		object             = `,"object":{"a":1}`
		patched            = `{"uid":"u1","allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL211dGF0ZWQiLCJ2YWx1ZSI6dHJ1ZX0seyJvcCI6InJlbW92ZSIsInBhdGgiOiIvYSJ9XQ==","auditAnnotations":null,"warnings":null}`
		mutationRefused    = `Request rejected by policy p. The policy attempted to mutate the request, but it is currently configured to not allow mutations.`
		mayNotMutate       = `{"uid":"u1","allowed":false,"status":{"message":"` + mutationRefused + `"},"auditAnnotations":null,"warnings":null}`
		mayNotMutateCustom = `{"uid":"u1","allowed":false,"status":{"message":"Custom error message","details":{"causes":[{"reason":null,"message":"` + mutationRefused + `","field":null}]}},"auditAnnotations":null,"warnings":null}`
		mutatedNothing     = `{"uid":"u1","allowed":false,"status":{"message":"Incoming object is null, which happens only with DELETE operations, but the policy is attempting a mutation. This is not allowed"},"auditAnnotations":null,"warnings":null}`
	)
	for name, c := range map[string]struct {
		guest  string
		change func(*policy.Definition)
		origin policy.Origin
		extra  string
		want   string
	}{
		"protect":                       {guest: "rejects", want: refusal},
		"protect, audit":                {guest: "rejects", origin: policy.FromAudit, want: refusal},
		"monitor":                       {guest: "rejects", change: func(d *policy.Definition) { d.Mode = policy.Monitor }, want: allowed},
		"monitor, audit":                {guest: "rejects", change: func(d *policy.Definition) { d.Mode = policy.Monitor }, origin: policy.FromAudit, want: refusal},
		"monitor, guest fails":          {guest: "traps", change: func(d *policy.Definition) { d.Mode = policy.Monitor }, want: allowed},
		"custom message":                {guest: "rejects", change: func(d *policy.Definition) { d.Message = &custom }, want: customised},
		"custom message, audit":         {guest: "rejects", change: func(d *policy.Definition) { d.Message = &custom }, origin: policy.FromAudit, want: refusal},
		"custom message, accepted":      {guest: "accepts", change: func(d *policy.Definition) { d.Message = &custom }, want: allowed},
		"custom message, guest fails":   {guest: "exits", change: func(d *policy.Definition) { d.Message = &custom }, want: `{"uid":"u1","allowed":false,"status":{"message":"Custom error message","details":{"causes":[{"reason":null,"message":"internal server error: Guest call failure: guest exited with code 3","field":null}]},"code":500},"auditAnnotations":null,"warnings":null}`},
		"always accepted":               {guest: "rejects", extra: `,"namespace":"trusted"`, want: allowed},
		"always accepted, audit":        {guest: "rejects", extra: `,"namespace":"trusted"`, origin: policy.FromAudit, want: allowed},
		"another namespace":             {guest: "rejects", extra: `,"namespace":"trusted2"`, want: refusal},
		"mutation":                      {guest: "mutates", change: func(d *policy.Definition) { d.AllowedToMutate = true }, extra: object, want: patched},
		"mutation, audit":               {guest: "mutates", origin: policy.FromAudit, extra: object, want: patched},
		"mutation is not allowed":       {guest: "mutates", extra: object, want: mayNotMutate},
		"mutation, not allowed, custom": {guest: "mutates", change: func(d *policy.Definition) { d.Message = &custom }, extra: object, want: mayNotMutateCustom},
		"monitor, mutation":             {guest: "mutates", change: func(d *policy.Definition) { d.Mode = policy.Monitor; d.AllowedToMutate = true }, extra: object, want: allowed},
		"mutation of nothing":           {guest: "mutates", change: func(d *policy.Definition) { d.AllowedToMutate = true }, extra: `,"oldObject":{"a":1}`, want: mutatedNothing},
	} {
		t.Run(name, func(t *testing.T) {
			evaluator, logs := serveGuest(t, c.guest, c.change)
			if got := answer(t, evaluator, c.origin, c.extra); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			monitored := logs.FilterMessage("policy evaluation (monitor mode)").All()
			if strings.HasPrefix(name, "monitor") && c.origin == policy.FromWebhook {
				verdict := fmt.Sprintf("allowed: %t", c.guest == "mutates")
				if len(monitored) != 1 || !strings.Contains(fmt.Sprint(monitored[0].ContextMap()["response"]), verdict) {
					t.Errorf("monitor mode logged %v", monitored)
				}
			} else if len(monitored) != 0 {
				t.Errorf("logged %v", monitored)
			}
		})
	}
}

func TestLoad_fails(t *testing.T) {
	for name, c := range map[string]struct {
		module  string
		stage   policy.Stage
		want    string // of the error
		refusal string
	}{
		"no such file": {"file:///does/not/exist.wasm", policy.StageFetch,
			`Error while downloading policy 'p' from file:///does/not/exist\.wasm: .*no such file`, `bootstrap failure: p: Error while downloading policy 'p' from file:///does/not/exist\.wasm`},
		"unknown scheme": {"ftp://host/x", policy.StageFetch, `Error while downloading policy 'p' from ftp://host/x: unknown scheme: ftp`, `bootstrap failure: p: `},
		"not a module":   {guests.File(t, []byte("<html>")), policy.StageFetch, `invalid wasm file`, `invalid wasm file`},
		"broken module":  {guests.File(t, []byte("\x00asm\x01\x00\x00\x00\x01")), policy.StageCompile, `policy "p": compile: cannot parse custom section of wasm module: `, `bootstrap failure: p: `},
		"no metadata": {guests.File(t, guests.Bare(t, "accepts")), policy.StageCompile,
			`policy "p": compile: Policy is missing protocol version, which is required for KubewardenWapc execution mode`, `bootstrap failure: p: .*missing protocol version`},
		"bad metadata": {guests.File(t, guests.Annotated(t, "accepts", `{"rules":[]}`)), policy.StageCompile,
			"cannot deserialize custom section `io.kubewarden.metadata` of wasm module: missing field `mutating`", `bootstrap failure`},
		"Rego": {guests.File(t, guests.Annotated(t, "accepts", `{"rules":[],"mutating":false,"executionMode":"opa"}`)), policy.StageCompile,
			`execution mode "opa" is not supported yet; supported: kubewarden-wapc, wasi`, `bootstrap failure`},
		"too new": {guests.File(t, guests.Annotated(t, "accepts", `{"protocolVersion":"v1","rules":[],"mutating":false,"minimumKubewardenVersion":"1.99.0"}`)), policy.StageCompile,
			`Policy required Kubewarden version 1\.99\.0 but is running on 1\.36\.0`, `bootstrap failure`},
		"unknown import":   {guests.File(t, guests.Module(t, "unknown_import")), policy.StageCompile, `unknown import: function "env" "abort"`, `bootstrap failure`},
		"settings refused": {guests.File(t, guests.Module(t, "settings_invalid")), policy.StageCheckSettings, `policy "p": check settings: Policy settings are invalid: no settings please this guest`, `^Policy settings are invalid: no settings please this guest$`},
		"trap in settings": {guests.File(t, guests.Module(t, "traps_in_settings")), policy.StageCheckSettings, `Policy settings are invalid: Error invoking settings validation callback: GuestCallFailure\("wasm trap: unreachable"\)`, `^Policy settings are invalid: Error invoking`},
		"cannot start":     {guests.File(t, guests.Module(t, "exits_in_start")), policy.StageCheckSettings, `Policy settings are invalid: Initialization failed: guest exited with code 1`, `^Policy settings`},
	} {
		t.Run(name, func(t *testing.T) {
			loader, _ := newLoader(t)
			good := policy.Definition{ID: "good", Module: guests.File(t, guests.Module(t, "accepts"))}
			bad := policy.Definition{ID: "p", Module: c.module, Mode: policy.Monitor} // the mode softens nothing that was not evaluated
			set := loader.Load(t.Context(), []policy.Definition{bad, good}, nil)
			var failed *policy.LoadError
			if !errors.As(set.Err(), &failed) || failed.Stage != c.stage || !regexp.MustCompile(c.want).MatchString(set.Err().Error()) {
				t.Fatalf("got %v, want stage %s, %s", set.Err(), c.stage, c.want)
			}
			live := new(policy.Live)
			if err := live.Swap(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			evaluator := policy.NewEvaluator(live, policy.EvaluatorConfig{AlwaysAccept: "trusted"})
			response, err := evaluator.Evaluate(t.Context(), "p", request(t, ""), policy.FromWebhook)
			if err != nil || response.Allowed || *response.Status.Code != 500 || !regexp.MustCompile(c.refusal).MatchString(*response.Status.Message) {
				t.Errorf("asked all the same: %+v, %v", response.Status, err)
			}
			if response, err := evaluator.Evaluate(t.Context(), "good", request(t, ""), policy.FromWebhook); err != nil || !response.Allowed {
				t.Errorf("the other policy: %+v, %v", response, err)
			}
			if err := live.Retire(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLoad_logs holds that the log says of each failure what can be done, and keeps silent about a
// load that was called off.
func TestLoad_logs(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	loader, logs := newLoader(t, host)
	called, off := context.WithCancel(t.Context())
	off()
	for name, c := range map[string]struct {
		ctx  context.Context
		want []string
	}{
		"failed":     {t.Context(), []string{"policy download failed, hint: check the repository and the tag; some registries also answer so when credentials are missing"}},
		"called off": {called, nil},
	} {
		t.Run(name, func(t *testing.T) {
			set := loader.Load(c.ctx, []policy.Definition{{ID: "p", Module: host + "/p:v1"}}, nil)
			if set.Err() == nil {
				t.Error("loaded")
			}
			if err := set.Close(t.Context()); err != nil {
				t.Error(err)
			}
			var failures []string
			for _, entry := range logs.TakeAll() {
				if entry.Level == zapcore.ErrorLevel {
					failures = append(failures, fmt.Sprintf("%s, hint: %v", entry.Message, entry.ContextMap()["hint"]))
				}
			}
			if !slices.Equal(failures, c.want) {
				t.Errorf("logged %q, want %q", failures, c.want)
			}
		})
	}
}

// refusingVerifier vouches for nothing, and remembers what it was asked.
type refusingVerifier struct{ asked []string }

func (v *refusingVerifier) Verify(_ context.Context, d name.Digest) (registry.VerifiedDigest, error) {
	v.asked = append(v.asked, d.String())
	return registry.VerifiedDigest{}, errors.New("no signature pleases me")
}

func TestLoad_verification(t *testing.T) {
	var paths []string
	handler := ocireg.New(ocireg.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(recordPaths(handler, &paths))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	loader, _ := newLoader(t, host)
	reference, err := registry.ParseReference("registry://" + host + "/p:v1")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := loader.Registry.Push(t.Context(), reference, guests.Module(t, "accepts"), nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier := new(refusingVerifier)
	loader.Verifier = verifier
	paths = nil
	set := loader.Load(t.Context(), []policy.Definition{
		{ID: "remote", Module: host + "/p:v1"},
		{ID: "same", Module: host + "/p:v1"},
		{ID: "local", Module: guests.File(t, guests.Module(t, "accepts"))},
	}, nil)
	for _, want := range []string{
		"Policy 'remote' cannot be verified: no signature pleases me", "Policy 'same' cannot be verified: no signature pleases me",
		"Policy 'local' cannot be verified: only modules in a registry can be verified",
	} {
		if !strings.Contains(fmt.Sprint(set.Err()), want) {
			t.Errorf("error lacks %q: %v", want, set.Err())
		}
	}
	if len(verifier.asked) != 1 || verifier.asked[0] != digest.String() {
		t.Errorf("verifier was asked about %q, want once about %s", verifier.asked, digest)
	}
	for _, path := range paths {
		if strings.Contains(path, "/blobs/") {
			t.Errorf("%s was fetched although nothing was verified", path)
		}
	}
	if err := set.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLive_hammer(t *testing.T) {
	loader, _ := newLoader(t)
	definitions := []policy.Definition{{ID: "p", Module: guests.File(t, guests.Module(t, "counts_calls"))}}
	live := new(policy.Live)
	if err := live.Swap(t.Context(), loader.Load(t.Context(), definitions, nil)); err != nil {
		t.Fatal(err)
	}
	evaluator := policy.NewEvaluator(live, policy.EvaluatorConfig{})
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				response, err := evaluator.Evaluate(t.Context(), "p", request(t, ""), policy.FromWebhook)
				if err != nil || !response.Allowed || *response.Status.Message != "call no. 1" {
					t.Errorf("%+v, %v", response, err)
					return
				}
			}
		})
	}
	for range 20 { // each generation is drained before it is closed, so nobody notices
		if err := live.Swap(t.Context(), loader.Load(t.Context(), definitions, nil)); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	group.Wait()
	if err := live.Retire(t.Context()); err != nil {
		t.Error(err)
	}
	var unknown *policy.UnknownError
	if _, err := evaluator.Evaluate(t.Context(), "p", request(t, ""), policy.FromWebhook); !errors.As(err, &unknown) {
		t.Errorf("after retiring: %v", err)
	}
}

func TestEvaluate_unknown(t *testing.T) {
	for name, live := range map[string]*policy.Live{"nothing served yet": new(policy.Live)} {
		t.Run(name, func(t *testing.T) {
			_, err := policy.NewEvaluator(live, policy.EvaluatorConfig{AlwaysAccept: "trusted"}).Evaluate(t.Context(), "p", request(t, `,"namespace":"trusted"`), policy.FromWebhook)
			if err == nil || err.Error() != "unknown policy: p" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// recordPaths passes requests on to next and writes their paths down.
func recordPaths(next http.Handler, paths *[]string) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		*paths = append(*paths, r.URL.Path)
		mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// TestLoadUnverifiedUnsafe holds that modules at hand are served without a registry and a verifier.
func TestLoadUnverifiedUnsafe(t *testing.T) {
	loader, _ := newLoader(t)
	loader.Registry, loader.Verifier = nil, nil
	set := loader.LoadUnverifiedUnsafe(t.Context(), []policy.Definition{
		{ID: "p", Module: "one"}, {ID: "same", Module: "one"}, {ID: "forgotten", Module: "two"}, {ID: "broken", Module: "three"},
	}, map[string][]byte{"one": guests.Module(t, "accepts"), "three": []byte("hello")})
	for _, want := range []string{"downloading policy 'forgotten' from two: the module was not handed over", `policy "broken": compile: `} {
		if err := set.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	live := new(policy.Live)
	if err := live.Swap(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := live.Retire(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if got := answer(t, policy.NewEvaluator(live, policy.EvaluatorConfig{}), policy.FromWebhook, ""); got != allowed {
		t.Errorf("got %s", got)
	}
}
