package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ocireg "github.com/google/go-containerregistry/pkg/registry"

	"policy-server/internal/testing/guests"
	"policy-server/policy"
	"policy-server/registry"
	"policy-server/runtime/turns"
)

// refusal is a Refusal: the digest was looked at.
type refusal struct{ error }

func (refusal) RefusesDigest() {}

// countingVerifier vouches for everything but what err says, and counts what it was asked.
type countingVerifier struct {
	mu    sync.Mutex
	asked int
	err   error
}

func (v *countingVerifier) Verify(_ context.Context, d name.Digest) (registry.VerifiedDigest, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return registry.AllowUnsignedUnsafe(d), v.err
}

// kept is a Keeper with a registry beside it, in which repository p has the guest accepts under the
// tag v1.
type kept struct {
	t        *testing.T
	host     string
	loader   *policy.Loader
	live     *policy.Live
	keeper   *policy.Keeper
	verifier *countingVerifier
	turns    *turns.Scheduler
}

func newKept(t *testing.T) *kept {
	t.Helper()
	server := httptest.NewServer(ocireg.New(ocireg.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	k := &kept{t: t, host: strings.TrimPrefix(server.URL, "http://"), live: new(policy.Live), verifier: new(countingVerifier)}
	k.loader, _ = newLoader(t, k.host)
	k.turns = turns.New(turns.Config{Places: 2})
	k.loader.Turns = k.turns
	k.keeper = policy.NewKeeper(*k.loader, k.live)
	k.push("accepts")
	t.Cleanup(func() {
		if err := k.live.Retire(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k
}

// push gives tag v1 of repository p a guest.
func (k *kept) push(guest string) {
	k.t.Helper()
	reference, err := registry.ParseReference("registry://" + k.host + "/p:v1")
	if err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.loader.Registry.Push(k.t.Context(), reference, guests.Module(k.t, guest), nil); err != nil {
		k.t.Fatal(err)
	}
}

// definition is policy p over tag v1.
func (k *kept) definition() policy.Definition {
	return policy.Definition{ID: "p", Module: k.host + "/p:v1"}
}

func (k *kept) apply(inputs policy.Inputs) {
	k.t.Helper()
	if inputs.Verifier == nil {
		inputs.Verifier = k.verifier
	}
	if err := k.keeper.Apply(k.t.Context(), inputs); err != nil {
		k.t.Fatal(err)
	}
}

// status returns how policy p fares.
func (k *kept) status() policy.Status {
	k.t.Helper()
	for _, status := range k.live.Statuses() {
		if status.ID == "p" {
			return status
		}
	}
	return policy.Status{}
}

func (k *kept) answer() string {
	k.t.Helper()
	return answer(k.t, policy.NewEvaluator(k.live, policy.EvaluatorConfig{}), policy.FromWebhook, "")
}

// compilations counts the modules that somebody asked the engine for.
func (k *kept) compilations() uint64 {
	stats := k.loader.Engine.Stats()
	return stats.Compiled + stats.Found + stats.Shared
}

const refusal403 = `{"uid":"u1","allowed":false,"status":{"message":"refused by the test guest","code":403},"auditAnnotations":null,"warnings":null}`

// TestApply follows policy p from a first generation, in which it accepts, to a second one.
func TestApply(t *testing.T) {
	monitored := func(k *kept) policy.Definition {
		d := k.definition()
		d.Mode = policy.Monitor
		return d
	}
	for name, c := range map[string]struct {
		change     func(*kept) policy.Inputs // what happens before the second Apply, and what it is given
		generation uint64                    // of the version that serves then
		lastError  string                    // a part of it; "" when p is served as it is defined
		verified   int                       // how often the verifier is asked in the second Apply
		compiled   uint64                    // how often the engine is
		want       string                    // the answer then
	}{
		"nothing changed": {
			change:     func(k *kept) policy.Inputs { return policy.Inputs{Definitions: []policy.Definition{k.definition()}} },
			generation: 1, want: allowed,
		},
		"another policy came": {
			change: func(k *kept) policy.Inputs {
				return policy.Inputs{Definitions: []policy.Definition{k.definition(), {ID: "q", Module: k.host + "/p:v1"}}}
			},
			generation: 1, verified: 1, compiled: 1, want: allowed,
		},
		"its definition changed": {
			change:     func(k *kept) policy.Inputs { return policy.Inputs{Definitions: []policy.Definition{monitored(k)}} },
			generation: 2, verified: 1, compiled: 1, want: allowed,
		},
		"its tag moved": {
			change: func(k *kept) policy.Inputs {
				k.push("rejects")
				return policy.Inputs{Definitions: []policy.Definition{k.definition()}}
			},
			generation: 2, verified: 1, compiled: 1, want: refusal403,
		},
		"its tag moved, tags are kept": {
			change: func(k *kept) policy.Inputs {
				k.push("rejects")
				return policy.Inputs{Definitions: []policy.Definition{k.definition()}, KeepTags: true}
			},
			generation: 1, want: allowed,
		},
		"its tag moved to a broken module": {
			change: func(k *kept) policy.Inputs {
				k.push("settings_invalid")
				return policy.Inputs{Definitions: []policy.Definition{k.definition()}}
			},
			generation: 1, lastError: "no settings please this guest", verified: 1, compiled: 1, want: allowed,
		},
		"its new module cannot be fetched": {
			change: func(k *kept) policy.Inputs {
				return policy.Inputs{Definitions: []policy.Definition{{ID: "p", Module: k.host + "/gone:v1"}}}
			},
			generation: 1, lastError: "Error while downloading policy 'p' from ", want: allowed,
		},
		"its new module is refused": {
			change: func(k *kept) policy.Inputs {
				k.push("rejects")
				k.verifier.err = refusal{errors.New("no signature pleases me")}
				return policy.Inputs{Definitions: []policy.Definition{k.definition()}}
			},
			generation: 1, lastError: "no signature pleases me", verified: 1, want: allowed,
		},
		"a new verification config accepts it": {
			change: func(k *kept) policy.Inputs {
				return policy.Inputs{Definitions: []policy.Definition{k.definition()}, Verification: "another"}
			},
			generation: 1, verified: 1, want: allowed,
		},
		"a new verification config refuses it": {
			change: func(k *kept) policy.Inputs {
				k.verifier.err = fmt.Errorf("wrapped: %w", refusal{errors.New("no signature pleases me")})
				return policy.Inputs{Definitions: []policy.Definition{k.definition()}, Verification: "another"}
			},
			lastError: "no signature pleases me", verified: 2,
			want: refused("bootstrap failure: p: Policy 'p' cannot be verified: wrapped: no signature pleases me", 500),
		},
		"a new verification config refuses it, and its new settings fail": {
			change: func(k *kept) policy.Inputs {
				k.verifier.err = refusal{errors.New("no signature pleases me")}
				return policy.Inputs{Definitions: []policy.Definition{monitored(k)}, Verification: "another"}
			},
			lastError: "no signature pleases me", verified: 2,
			want: refused("bootstrap failure: p: Policy 'p' cannot be verified: no signature pleases me", 500),
		},
		"a new verification config, and nothing can be learned": {
			change: func(k *kept) policy.Inputs {
				k.verifier.err = errors.New("the registry is down")
				return policy.Inputs{Definitions: []policy.Definition{k.definition()}, Verification: "another"}
			},
			generation: 1, lastError: "the registry is down", verified: 2, want: allowed,
		},
		"it was taken away": {
			change: func(*kept) policy.Inputs { return policy.Inputs{} },
			want:   "error: unknown policy: p",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t)
			k.apply(policy.Inputs{Definitions: []policy.Definition{k.definition()}, Strict: true})
			if status := k.status(); !status.Serving || status.Generation != 1 || status.LastError != nil || !strings.HasPrefix(status.Digest, "sha256:") {
				t.Fatalf("first generation: %+v", status)
			}
			inputs := c.change(k)
			verified, compiled := k.verifier.asked, k.compilations()
			k.apply(inputs)
			status := k.status()
			if status.Serving != (c.generation > 0) || status.Generation != c.generation {
				t.Errorf("status %+v, want generation %d", status, c.generation)
			}
			if c.lastError == "" && status.LastError != nil || c.lastError != "" && (status.LastError == nil || !strings.Contains(status.LastError.Error(), c.lastError)) {
				t.Errorf("last error %v, want %q", status.LastError, c.lastError)
			}
			if got := k.verifier.asked - verified; got != c.verified {
				t.Errorf("the verifier was asked %d times, want %d", got, c.verified)
			}
			if got := k.compilations() - compiled; got != c.compiled {
				t.Errorf("the engine was asked %d times, want %d", got, c.compiled)
			}
			if got := k.answer(); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestApply_recovers holds that a policy whose new version failed is served as defined once that
// can be, and that a file is known by what is in it.
func TestApply_recovers(t *testing.T) {
	k := newKept(t)
	url := guests.File(t, guests.Module(t, "accepts"))
	inputs := policy.Inputs{Definitions: []policy.Definition{{ID: "p", Module: url}}, Verifier: policy.AllowUnsignedUnsafe{}}
	for i, c := range []struct {
		guest      string
		generation uint64
		failed     bool
	}{{"accepts", 1, false}, {"accepts", 1, false}, {"settings_invalid", 1, true}, {"accepts", 1, false}, {"rejects", 5, false}} {
		if err := os.WriteFile(strings.TrimPrefix(url, "file://"), guests.Module(t, c.guest), 0o600); err != nil {
			t.Fatal(err)
		}
		k.apply(inputs)
		if status := k.status(); status.Generation != c.generation || (status.LastError != nil) != c.failed || status.Digest != "" {
			t.Errorf("%d, %s: %+v", i+1, c.guest, status)
		}
	}
	if got := k.answer(); got != refusal403 {
		t.Error(got)
	}
}

// TestApply_unreachable holds that a policy whose registry cannot be asked, because the sources do
// not let it any more, is served on as it is, until they do.
func TestApply_unreachable(t *testing.T) {
	k := newKept(t)
	inputs := policy.Inputs{Definitions: []policy.Definition{k.definition()}}
	k.apply(inputs)
	for _, c := range []struct {
		sources registry.Sources
		fails   bool
	}{{registry.Sources{}, true}, {registry.Sources{InsecureSources: []string{k.host}}, false}} {
		if err := k.loader.Registry.SetSources(c.sources); err != nil {
			t.Fatal(err)
		}
		k.apply(inputs)
		if status := k.status(); (status.LastError != nil) != c.fails || status.Generation != 1 || k.answer() != allowed {
			t.Errorf("%+v: %+v, %s", c.sources, status, k.answer())
		}
	}
	if err := k.loader.Registry.SetSources(registry.Sources{SourceAuthorities: map[string][]registry.Authority{"a": {{Path: "/none"}}}}); err == nil {
		t.Error("a missing authority was taken")
	}
	k.apply(inputs)
	if status := k.status(); status.LastError != nil {
		t.Errorf("after sources that cannot be used: %+v", status)
	}
}

// TestApply_changesNothing holds that a generation which must not be served leaves the one before
// as it is.
func TestApply_changesNothing(t *testing.T) {
	k := newKept(t)
	k.apply(policy.Inputs{Definitions: []policy.Definition{k.definition()}})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		inputs policy.Inputs
		want   string
	}{
		"strict, a policy that never loaded": {t.Context(), policy.Inputs{
			Definitions: []policy.Definition{k.definition(), {ID: "q", Module: k.host + "/none:v1"}}, Strict: true,
		}, "Error while downloading policy 'q'"},
		"called off": {over, policy.Inputs{}, "context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			c.inputs.Verifier = k.verifier
			if err := k.keeper.Apply(c.ctx, c.inputs); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if len(k.live.Statuses()) != 1 || k.answer() != allowed {
				t.Errorf("served: %+v, %s", k.live.Statuses(), k.answer())
			}
		})
	}
}

// TestApply_running holds that Apply does not wait for an evaluation that takes its time, nor
// disturbs it.
func TestApply_running(t *testing.T) {
	k := newKept(t)
	minute := time.Minute
	url := guests.File(t, guests.Module(t, "sleeps"))
	k.apply(policy.Inputs{Definitions: []policy.Definition{{ID: "p", Module: url, Timeout: &minute}}, Verifier: policy.AllowUnsignedUnsafe{}})
	evaluator := policy.NewEvaluator(k.live, policy.EvaluatorConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := evaluator.Evaluate(ctx, "p", request(t, ""), policy.FromWebhook)
		ended <- err
	}()
	for k.turns.Stats().Begun == 0 {
		time.Sleep(time.Millisecond)
	}
	k.apply(policy.Inputs{})
	select {
	case err := <-ended:
		t.Errorf("the evaluation was over before Apply: %v", err)
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestApply_hammer(t *testing.T) {
	k := newKept(t)
	definitions := func(i int) []policy.Definition {
		settings := []byte(fmt.Sprintf(`{"generation":%d}`, i))
		return []policy.Definition{
			k.definition(), // always the same
			{ID: "changing", Module: k.host + "/p:v1", Settings: settings},
		}
	}
	k.apply(policy.Inputs{Definitions: definitions(0)})
	evaluator := policy.NewEvaluator(k.live, policy.EvaluatorConfig{})
	var group sync.WaitGroup
	stop := make(chan struct{})
	for _, id := range []policy.ID{"p", "changing", "p", "changing"} {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if response, err := evaluator.Evaluate(t.Context(), id, request(t, ""), policy.FromWebhook); err != nil || !response.Allowed {
					t.Errorf("%s: %+v, %v", id, response, err)
					return
				}
			}
		})
	}
	for i := range 20 {
		k.apply(policy.Inputs{Definitions: definitions(i), Verification: fmt.Sprint(i / 5)})
	}
	close(stop)
	group.Wait()
	if status := k.status(); status.Generation != 1 {
		t.Errorf("what did not change is of generation %d", status.Generation)
	}
}
