package policy

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"policy-server/hostcalls"
	"policy-server/registry"
	"policy-server/runtime"
	"policy-server/runtime/turns"
)

// settingsTimeout is how long a policy may take to check its own settings. It is generous, because
// no request waits for an answer, and fixed, because a guest that never returns would otherwise
// hold the start for ever.
const settingsTimeout = 10 * time.Second

// Loader takes definitions through the first part of a policy's life: fetch, verify, compile, check
// settings. Its fields are set before use and not changed after; it is then safe for concurrent
// use.
type Loader struct {
	Registry *registry.Client
	Verifier Verifier // AllowUnsignedUnsafe{} to go without
	Engine   *runtime.Engine
	Calls    *hostcalls.Dispatcher
	Timeout  time.Duration // limit of one evaluation unless the definition has its own; 0: none
	Sandbox  runtime.Mode  // how clean instances come about unless the definition says; runtime.ModeReset when empty
	Log      *zap.Logger

	// Turns shares the processors between policies; nil: an evaluation runs when it comes.
	Turns *turns.Scheduler

	// Verification names what Verifier accepts, for instance by a digest of the verification config
	// and the trust root. What an earlier set serves is verified again when the name is another
	// one.
	Verification string
	// KeepTags takes a policy over as it is served when its definition and Verification did not
	// change. Otherwise the registry is asked again what its tag means.
	KeepTags bool
}

// Load makes the Set of the policies that definitions describe. Every policy gets as far as it can:
// those that fail do not disturb the others. Policies with the same module string share its fetch,
// its verification and its compiled code.
//
// What before serves and nothing has changed is taken over with its compiled module and its warm
// instances; before is nil at the start. Where a new version fails, the version that before serves
// is taken over, unless it does not meet the verification config any more. Set.Statuses tells. The
// caller keeps before open until Load returns, and serves the new set (Live.Swap) or closes it.
func (l *Loader) Load(ctx context.Context, definitions []Definition, before *Set) *Set {
	return l.load(ctx, definitions, before, func(def Definition) *source { return l.fromRegistry(ctx, def) })
}

// LoadUnverifiedUnsafe is Load for a caller that has the modules and answers for them: modules
// holds the bytes of each Definition.Module. Nothing is fetched, and the Verifier is not asked.
func (l *Loader) LoadUnverifiedUnsafe(ctx context.Context, definitions []Definition, modules map[string][]byte) *Set {
	return l.load(ctx, definitions, nil, func(def Definition) *source { return l.atHand(ctx, def, modules) })
}

func (l *Loader) load(ctx context.Context, definitions []Definition, before *Set, find func(Definition) *source) *Set {
	set := newSet(before, l.Verification)
	doubts := l.verifyAgain(ctx, definitions, before)
	sources := map[string]*source{}
	for _, def := range definitions {
		if sources[def.Module] == nil {
			sources[def.Module] = find(def)
		}
	}
	warm := &warmGuests{guests: map[warmKey]*warmGuest{}}
	pending := &pending{log: l.Log, began: time.Now(), places: map[ID]*position{}}
	defer pending.report()()
	var group errgroup.Group
	group.SetLimit(goruntime.GOMAXPROCS(0)) // compiling is what takes the time
	for _, def := range definitions {
		group.Go(func() error {
			pending.is(def.ID, sources[def.Module].position)
			set.add(def.ID, l.loadEntry(ctx, def.withDefaults(), sources[def.Module], before.entry(def.ID), doubts, warm, pending))
			pending.done(def.ID)
			return nil
		})
	}
	_ = group.Wait() // failures are in the set
	for _, s := range sources {
		s.release(ctx) // each policy holds its module by now
	}
	return set
}

// loadEntry settles which version of def's policy the next set serves: the one that is served now,
// when nothing changed; else a new one; else, when that fails, the one that is served now after
// all.
func (l *Loader) loadEntry(ctx context.Context, def Definition, s *source, now entry, doubts doubts, warm *warmGuests, pending *pending) entry {
	keep, doubt := doubts.about(now.policy())
	if keep && doubt == nil && l.unchanged(def, s, now.policy()) {
		return now.takenOver(nil)
	}
	p, failure := l.loadPolicy(ctx, def, s, warm, pending)
	switch {
	case failure == nil:
		return entry{serves: p}
	case keep:
		l.Log.Warn("policy keeps its last good version", zap.String("policy_id", string(def.ID)),
			zap.Uint64("generation", now.since), zap.String("stage", string(failure.Stage)))
		return now.takenOver(failure)
	}
	return entry{failure: failure}
}

// loadPolicy takes def through fetch, verify and compile, or what another policy with the same
// module has of them, and then through check settings.
func (l *Loader) loadPolicy(ctx context.Context, def Definition, s *source, warm *warmGuests, pending *pending) (*Policy, *LoadError) {
	m, failure := s.compile()
	if failure != nil {
		return nil, &LoadError{def.ID, def.Module, failure.Stage, failure.Err}
	}
	own := new(position)
	own.at(StageCheckSettings)
	pending.is(def.ID, own)
	p := l.bind(def, m)
	err, stage := p.checkSettings(ctx), StageCheckSettings
	if err == nil {
		err = warm.up(ctx, p, l.guestConfig(def))
		stage = StageCompile
	}
	if err != nil {
		failure := &LoadError{def.ID, def.Module, stage, err}
		l.logFailure(ctx, failure)
		return nil, failure
	}
	m.owners.hold()
	return p, nil
}

// fetch finds out what def's module string means now.
func (l *Loader) fetch(ctx context.Context, def Definition) (*registry.Artifact, error) {
	reference, err := registry.ParseReference(def.Module)
	if err != nil {
		return nil, err
	}
	return l.Registry.Fetch(ctx, reference)
}

// verify asks the verifier about digest. A module without one (a file, a plain download) cannot
// carry signatures, so it loads only where nothing is verified.
func (l *Loader) verify(ctx context.Context, id ID, digest name.Digest) (registry.VerifiedDigest, error) {
	if _, off := l.Verifier.(AllowUnsignedUnsafe); !off {
		if digest == (name.Digest{}) {
			return registry.VerifiedDigest{}, &NoDigestError{}
		}
		l.Log.Info("verifying policy authenticity and integrity using sigstore",
			zap.String("policy_id", string(id)), zap.Stringer("digest", digest))
	}
	return l.Verifier.Verify(ctx, digest)
}

// compile compiles a module that can be served.
func (l *Loader) compile(ctx context.Context, m obtained) (*module, error) {
	metadata, dialect, err := servable(m.code)
	if err != nil {
		return nil, err
	}
	compiled, err := l.Engine.Compile(ctx, m.code, dialect.protocol())
	if err != nil {
		return nil, err
	}
	return &module{compiled: compiled, metadata: metadata, dialect: dialect, identity: m.identity()}, nil
}

// logFailure logs a failure under the message that log searches know for its stage, and what can be
// done about it: where other policies serve on, nothing else tells. A load that was called off is
// nobody's failure.
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
	l.Log.Error(message, zap.String("policy_id", string(failure.Policy)), zap.String("module", failure.Module),
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
	if l.Turns != nil {
		p.flow = l.Turns.Flow(string(def.ID), 1)
	}
	return p
}

// checkSettings finds out whether the policy's settings are good. The error is a *SettingsError:
// what the guest objects to, or why it gave no answer.
func (p *Policy) checkSettings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settingsTimeout)
	defer cancel()
	return p.module.dialect.checkSettings(p.Settings, func(question runtime.Question) (runtime.Answer, error) {
		output, err := p.module.compiled.Call(ctx, question, p.host().Call)
		p.logPrinted(output, err)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("the policy gave no answer within %s", settingsTimeout)
		}
		return output, err
	})
}
