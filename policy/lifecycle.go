package policy

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"policy-server/admission"
	"policy-server/hostcalls"
	"policy-server/registry"
	"policy-server/runtime"
)

// settingsTimeout is how long a policy may take to check its own settings. It is generous, because nobody waits for an
// answer, and fixed, because a guest that never returns would otherwise hold the start for ever.
const settingsTimeout = 10 * time.Second

// Loader takes definitions through the first part of a policy's life: fetch, verify, compile, check settings. Its fields
// are set before use and not changed after; it is then safe for concurrent use.
type Loader struct {
	Registry *registry.Client
	Verifier Verifier // AllowUnsignedUnsafe{} to go without
	Engine   *runtime.Engine
	Calls    *hostcalls.Dispatcher
	Timeout  time.Duration // limit of one evaluation unless the definition has its own; 0: none
	Sandbox  runtime.Mode  // how clean instances come about unless the definition says; runtime.ModeReset when empty
	Log      *zap.Logger
}

// Load makes the Set of the policies that definitions describe. Every policy gets as far as it can: those that fail are
// in the set's Failures and do not disturb the others. Policies with the same module string share its fetch, its
// verification and its compiled code. The caller serves the set (Live.Swap) or closes it.
func (l *Loader) Load(ctx context.Context, definitions []Definition) *Set {
	return l.load(ctx, definitions, l.fetchVerified)
}

// LoadUnverifiedUnsafe is Load for a caller that has the modules and answers for them: modules holds the bytes of each
// Definition.Module. Nothing is fetched, and the Verifier is not asked.
func (l *Loader) LoadUnverifiedUnsafe(ctx context.Context, definitions []Definition, modules map[string][]byte) *Set {
	return l.load(ctx, definitions, func(_ context.Context, def Definition) (fetched, *LoadError) {
		code, ok := modules[def.Module]
		if !ok {
			return fetched{}, &LoadError{def.ID, def.Module, StageFetch, errors.New("the module was not handed over")}
		}
		return fetched{code: code}, nil
	})
}

func (l *Loader) load(ctx context.Context, definitions []Definition, fetch fetcher) *Set {
	set := newSet()
	modules := map[string]func() (*module, error){}
	for _, def := range definitions {
		if modules[def.Module] == nil {
			modules[def.Module] = sync.OnceValues(func() (*module, error) { return set.keep(l.loadModule(ctx, def, fetch)) })
		}
	}
	var group errgroup.Group
	group.SetLimit(goruntime.GOMAXPROCS(0)) // compiling is what takes the time
	for _, def := range definitions {
		group.Go(func() error {
			p, err := l.loadPolicy(ctx, def, modules[def.Module])
			set.add(def, p, err)
			return nil
		})
	}
	_ = group.Wait() // failures are in the set
	return set
}

// fetched is a module somebody answers for.
type fetched struct {
	code   []byte
	digest string // of its manifest; "" when it has none
	signed bool   // whether its signatures were verified here
}

// fetcher is fetch and verify: it gets def's module.
type fetcher func(ctx context.Context, def Definition) (fetched, *LoadError)

// loadPolicy takes def through fetch, verify and compile, or what another policy with the same module has of them, and
// then through check settings.
func (l *Loader) loadPolicy(ctx context.Context, def Definition, load func() (*module, error)) (*Policy, *LoadError) {
	m, err := load()
	if err != nil {
		var failed *LoadError
		if errors.As(err, &failed) {
			return nil, &LoadError{def.ID, def.Module, failed.Stage, failed.Err}
		}
		return nil, &LoadError{def.ID, def.Module, StageFetch, err}
	}
	p := l.bind(def, m)
	if err := p.checkSettings(ctx); err != nil {
		failure := &LoadError{def.ID, def.Module, StageCheckSettings, err}
		l.logFailure(ctx, failure)
		return nil, failure
	}
	if p.guest, err = m.compiled.NewGuest(l.guestConfig(def)); err != nil {
		failure := &LoadError{def.ID, def.Module, StageCompile, err}
		l.logFailure(ctx, failure)
		return nil, failure
	}
	p.warmUp(ctx)
	return p, nil
}

// loadModule is fetch, verify and compile.
func (l *Loader) loadModule(ctx context.Context, def Definition, fetch fetcher) (*module, error) {
	found, failure := fetch(ctx, def)
	if failure != nil {
		l.logFailure(ctx, failure)
		return nil, failure
	}
	compiled, metadata, err := l.compile(ctx, found.code)
	if err != nil {
		failure := &LoadError{def.ID, def.Module, StageCompile, err}
		l.logFailure(ctx, failure)
		return nil, failure
	}
	l.Log.Info("policy download", zap.String("name", string(def.ID)), zap.String("module", def.Module), notEmpty("digest", found.digest),
		zap.Bool("signed", found.signed), zap.Bool("mutating", metadata.Mutating))
	return &module{compiled: compiled, metadata: metadata}, nil
}

// fetchVerified is fetch and verify. What was verified is what runs: the tag is resolved once, the digest it gave is what
// is verified, and only bytes that belong to that digest are released to be compiled.
func (l *Loader) fetchVerified(ctx context.Context, def Definition) (fetched, *LoadError) {
	fail := func(stage Stage, err error) (fetched, *LoadError) {
		return fetched{}, &LoadError{def.ID, def.Module, stage, err}
	}
	reference, err := registry.ParseReference(def.Module)
	if err != nil {
		return fail(StageFetch, err)
	}
	artifact, err := l.Registry.Fetch(ctx, reference)
	if err != nil {
		return fail(StageFetch, err)
	}
	verified, err := l.verify(ctx, def, artifact)
	if err != nil {
		return fail(StageVerify, err)
	}
	code, err := artifact.Module(ctx, verified)
	if err != nil {
		return fail(StageFetch, err)
	}
	if verified.IsSigned() {
		l.Log.Info("Local file checksum verification passed", zap.String("policy", string(def.ID)))
	}
	return fetched{code, artifact.Digest.DigestStr(), verified.IsSigned()}, nil
}

// compile compiles a module that can be served.
func (l *Loader) compile(ctx context.Context, code []byte) (*runtime.Module, Metadata, error) {
	metadata, protocol, err := servable(code)
	if err != nil {
		return nil, Metadata{}, err
	}
	compiled, err := l.Engine.Compile(ctx, code, protocol)
	return compiled, metadata, err
}

// verify asks the verifier about the artifact's digest. A module without one (a file, a plain download) cannot carry
// signatures, so it loads only where nothing is verified.
func (l *Loader) verify(ctx context.Context, def Definition, artifact *registry.Artifact) (registry.VerifiedDigest, error) {
	if _, off := l.Verifier.(AllowUnsignedUnsafe); !off {
		if !artifact.HasDigest() {
			return registry.VerifiedDigest{}, errors.New("only modules in a registry can be verified: use a registry:// reference")
		}
		l.Log.Info("verifying policy authenticity and integrity using sigstore",
			zap.String("policy", string(def.ID)), zap.Stringer("digest", artifact.Digest))
	}
	return l.Verifier.Verify(ctx, artifact.Digest)
}

// logFailure logs a failure under the message that log searches know for its stage, and what can be done about it: where
// other policies serve on, nothing else tells. A load that was called off is nobody's failure.
func (l *Loader) logFailure(ctx context.Context, failure *LoadError) {
	if ctx.Err() != nil {
		return
	}
	message := "policy cannot be loaded"
	switch failure.Stage {
	case StageFetch:
		message = "policy download failed"
	case StageVerify:
		message = "policy cannot be verified"
	}
	l.Log.Error(message, zap.String("policy", string(failure.Policy)), zap.String("module", failure.Module),
		zap.String("stage", string(failure.Stage)), zap.Error(failure.Err), notEmpty("hint", failure.Hint()))
}

// notEmpty is a field of the log that is left out when there is nothing to say.
func notEmpty(key, text string) zap.Field {
	if text == "" {
		return zap.Skip()
	}
	return zap.String(key, text)
}

// bind makes def's policy over m.
func (l *Loader) bind(def Definition, m *module) *Policy {
	p := &Policy{Definition: def, module: m, calls: l.Calls, limit: l.Timeout, log: l.Log}
	if def.Timeout != nil {
		p.limit = *def.Timeout
	}
	if len(p.Settings) == 0 {
		p.Settings = []byte("{}")
	}
	return p
}

// checkSettings asks the guest whether the policy's settings are good. The error is a *SettingsError: what the guest
// objects to, or why it gave no answer.
func (p *Policy) checkSettings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	output, err := p.module.compiled.Call(ctx, runtime.ValidateSettings, p.Settings, p.host())
	p.logPrinted(output, err)
	if err != nil {
		return &SettingsError{Message: settingsFailure(err)}
	}
	answer, err := admission.ParseSettingsAnswer(output.Payload)
	switch {
	case err != nil:
		return &SettingsError{Message: p.undecodable("settings", err)}
	case answer.Valid:
		return nil
	case answer.Message == nil:
		return &SettingsError{Message: "no message"}
	}
	return &SettingsError{Message: *answer.Message}
}

// settingsFailure words the failure of a settings check.
func settingsFailure(err error) string {
	var call *runtime.CallError
	var exit *runtime.ExitError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the policy gave no answer within %s", settingsTimeout)
	case errors.As(err, &call):
		return fmt.Sprintf("Error invoking settings validation callback: GuestCallFailure(%q)", call.Reason)
	case errors.As(err, &exit):
		return exitMessage(exit)
	}
	return err.Error()
}

// Live serves one Set after another. Its zero value serves none. It is safe for concurrent use.
type Live struct{ current atomic.Pointer[Set] }

// Swap serves next, then retires what was served before: it waits until the evaluations that began with it are over, and
// closes it. Evaluations that begin meanwhile use next. When ctx ends first, the old set is left to the evaluations that
// hold it, and closed by nobody.
func (v *Live) Swap(ctx context.Context, next *Set) error {
	before := v.current.Swap(next)
	if before == nil {
		return nil
	}
	return before.retire(ctx)
}

// Retire stops serving: further requests find no policy.
func (v *Live) Retire(ctx context.Context) error { return v.Swap(ctx, newSet()) }

// acquire returns the served set, which stays open until it is released; nil when none was ever served.
func (v *Live) acquire() *Set {
	for {
		set := v.current.Load()
		if set == nil || set.acquire() {
			return set
		}
		// It was retired between the two steps, so another one is served by now.
	}
}
