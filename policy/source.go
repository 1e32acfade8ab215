package policy

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"

	"policy-server/registry"
)

// source takes one module through fetch, verify and compile, for all policies that name it. A step
// is done when the first policy needs it, and once; its failure is logged then. Goroutines may
// share a source.
type source struct {
	identify func() (identity, *LoadError) // fetch: which module the string means now
	compile  func() (*module, *LoadError)  // fetch, verify and compile; who keeps the module holds it
	release  func(context.Context)         // gives up the module, unless nobody asked for it
	position *position                     // of whoever is at it
}

// identity is what tells two versions of a module apart: the digest of its manifest, or of its
// bytes where it has none.
type identity struct {
	manifest name.Digest
	content  [sha256.Size]byte
}

// obtained is a module somebody answers for.
type obtained struct {
	code   []byte
	digest name.Digest // of its manifest; the zero value when it has none
	signed bool        // whether its signatures were verified here
}

func (o obtained) identity() identity {
	if o.digest != (name.Digest{}) {
		return identity{manifest: o.digest}
	}
	return identity{content: sha256.Sum256(o.code)}
}

// fromRegistry is the source of def's module. What was verified is what runs: the tag is resolved
// once, the digest it gave is what is verified, and only bytes that belong to that digest are
// released to be compiled.
func (l *Loader) fromRegistry(ctx context.Context, def Definition) *source {
	position := new(position)
	fetch := sync.OnceValues(func() (*registry.Artifact, *LoadError) {
		position.at(StageFetch)
		artifact, err := l.fetch(ctx, def)
		return artifact, l.failed(ctx, def, StageFetch, err)
	})
	obtain := func() (obtained, *LoadError) {
		artifact, failure := fetch()
		if failure != nil {
			return obtained{}, failure
		}
		position.at(StageVerify)
		verified, err := l.verify(ctx, def.ID, artifact.Digest)
		if err != nil {
			return obtained{}, l.failed(ctx, def, StageVerify, err)
		}
		position.at(StageFetch)
		code, err := artifact.Module(ctx, verified)
		if err == nil && verified.IsSigned() {
			l.Log.Info("Local file checksum verification passed", zap.String("policy_id", string(def.ID)))
		}
		return obtained{code, artifact.Digest, verified.IsSigned()}, l.failed(ctx, def, StageFetch, err)
	}
	identify := func() (identity, *LoadError) {
		artifact, failure := fetch()
		switch {
		case failure != nil:
			return identity{}, failure
		case artifact.HasDigest():
			return identity{manifest: artifact.Digest}, nil
		}
		found, failure := obtain()
		return found.identity(), failure
	}
	return l.newSource(ctx, def, position, identify, obtain)
}

// atHand is the source of a module that the caller has.
func (l *Loader) atHand(ctx context.Context, def Definition, modules map[string][]byte) *source {
	return l.newSource(ctx, def, new(position), nil, func() (obtained, *LoadError) {
		code, found := modules[def.Module]
		if !found {
			return obtained{}, &LoadError{def.ID, def.Module, StageFetch, errors.New("the module was not handed over")}
		}
		return obtained{code: code}, nil
	})
}

func (l *Loader) newSource(
	ctx context.Context, def Definition, position *position,
	identify func() (identity, *LoadError), obtain func() (obtained, *LoadError),
) *source {
	var compiled *module
	s := &source{identify: identify, position: position}
	s.compile = sync.OnceValues(func() (*module, *LoadError) {
		found, failure := obtain()
		if failure != nil {
			return nil, failure
		}
		position.at(StageCompile)
		var err error
		if compiled, err = l.compile(ctx, found); err != nil {
			return nil, l.failed(ctx, def, StageCompile, err)
		}
		l.Log.Info("policy download", zap.String("policy_id", string(def.ID)), zap.String("module", def.Module),
			notEmpty("digest", found.digest.DigestStr()), zap.Bool("signed", found.signed), zap.Bool("mutating", compiled.metadata.Mutating))
		return compiled, nil
	})
	s.release = func(ctx context.Context) {
		if compiled != nil {
			_ = compiled.release(ctx)
		}
	}
	return s
}

// failed is the failure of def at stage, logged; nil when err is.
func (l *Loader) failed(ctx context.Context, def Definition, stage Stage, err error) *LoadError {
	if err == nil {
		return nil
	}
	failure := &LoadError{def.ID, def.Module, stage, err}
	l.logFailure(ctx, failure)
	return failure
}
