// Package verify decides whether the signatures on a module's digest meet the verification config. It owns the
// config file, the discovery of signatures beside a module in its registry, and their evaluation; it is the only
// package that knows Sigstore. It does not resolve tags, fetch modules or know what is done with the answer.
//
// Evaluated so far are signatures by public keys in the layout of cosign's ".sig" tags, which need no trust root and
// no network but the registry:
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/registry/internal/proof"
)

// Verifier checks digests against one Config. It is immutable and may be shared by goroutines.
type Verifier struct {
	allOf   []requirement
	anyOf   []requirement
	minimum int // of anyOf; 0 when it is not asked for
	remote  func(context.Context) []remote.Option
}

// requirement is a constraint ready to be evaluated.
type requirement struct {
	path       string // of the constraint in the file
	constraint Constraint
	match      func(context.Context, candidate, v1.Hash) (Signature, error)
}

// Report says what a verified digest was accepted for.
type Report struct {
	Digest proof.Digest // signed
	Met    []Met        // allOf first, each half in the config's order; of anyOf those that were met
}

// Met is a constraint with the first signature that met it.
type Met struct {
	Path       string // in the file: "allOf[0]"
	Constraint Constraint
	Signature  Signature
}

// Signature is a signature that was verified.
type Signature struct {
	Position    int               // of its layer in the signature manifest, from 0
	Payload     v1.Hash           // of the signed bytes
	Key         string            // fingerprint of the key it was made with, see PublicKey.Fingerprint
	Annotations map[string]string // signed along; numbers and booleans as text, other values left out
}

// New returns a Verifier for cfg. The options that remoteOptions returns for each verification carry transport and
// credentials. New refuses a cfg that everything or nothing would meet, as ParseConfig does, and one with keyless
// constraints (genericIssuer, githubAction), naming each: they are parsed but not evaluated yet.
func New(cfg Config, remoteOptions func(context.Context) []remote.Option) (*Verifier, error) {
	if cfg.AllOf == nil && cfg.AnyOf == nil {
		return nil, errors.New(noSignatures)
	}
	var found faults
	for path, c := range cfg.constraints() {
		if c == nil {
			found.add(path, "missing")
		}
	}
	cfg.check(&found)
	if err := found.err(); err != nil {
		return nil, err
	}
	return build(cfg, remoteOptions)
}

// build makes each constraint of a sound cfg a requirement.
func build(cfg Config, remoteOptions func(context.Context) []remote.Option) (*Verifier, error) {
	v := &Verifier{remote: remoteOptions}
	var keyless []string
	v.allOf = requirements("allOf", cfg.AllOf, &keyless)
	if cfg.AnyOf != nil {
		v.anyOf = requirements("anyOf.signatures", cfg.AnyOf.Signatures, &keyless)
		v.minimum = cfg.AnyOf.MinimumMatches
	}
	if len(keyless) > 0 {
		return nil, fmt.Errorf("%s%s: keyless constraints are not supported yet; supported: %s",
			notValid, strings.Join(keyless, ", "), kindPubKey)
	}
	return v, nil
}

// requirements returns what can be evaluated of the constraints at path, and adds the others to keyless.
func requirements(path string, constraints []Constraint, keyless *[]string) []requirement {
	var asked []requirement
	for i, c := range constraints {
		switch kind := c.(type) {
		case PubKey:
			asked = append(asked, requirement{path: element(path, i), constraint: c, match: kind.match})
		default:
			*keyless = append(*keyless, fmt.Sprintf("%s (%s)", element(path, i), c.kind()))
		}
	}
	return asked
}

// Verify returns the proof that the signatures of d meet the config. Errors as for Check.
func (v *Verifier) Verify(ctx context.Context, d name.Digest) (proof.Digest, error) {
	report, err := v.Check(ctx, d)
	return report.Digest, err
}

// Check looks for the signatures of d beside it in its registry and evaluates them. The error is
//
//   - an *UnverifiedError when what was found does not meet the config, also when nothing was found;
//   - a *LookupError when that could not be found out; it wraps the reason, ctx's error among them.
//
// Check blocks for as long as the registry takes, ctx at most.
func (v *Verifier) Check(ctx context.Context, d name.Digest) (Report, error) {
	digest, err := v1.NewHash(d.DigestStr())
	if err != nil {
		return Report{}, &LookupError{Digest: d, Err: err}
	}
	found, err := v.signatures(ctx, d)
	if err != nil {
		return Report{}, &LookupError{Digest: d, Err: err}
	}
	allMet, unmet := evaluate(ctx, v.allOf, found, digest)
	if len(unmet) > 0 {
		return Report{}, &UnverifiedError{Digest: d, Found: len(found), Unmet: unmet}
	}
	anyMet, unmet := evaluate(ctx, v.anyOf, found, digest)
	if len(anyMet) < v.minimum {
		return Report{}, &UnverifiedError{
			Digest: d, Found: len(found), Unmet: unmet, Needed: v.minimum, Got: len(anyMet),
		}
	}
	return Report{Digest: proof.Signed(d), Met: append(allMet, anyMet...)}, nil
}

// signatures returns what is attached to d, in no way checked.
func (v *Verifier) signatures(ctx context.Context, d name.Digest) ([]candidate, error) {
	// One puller for a verification: it asks for a token once.
	puller, err := remote.NewPuller(v.remote(ctx)...)
	if err != nil {
		return nil, err
	}
	return legacySignatures(ctx, puller, d)
}

// evaluate sorts requirements into those that a signature found meets and those that none does.
func evaluate(ctx context.Context, asked []requirement, found []candidate, digest v1.Hash) ([]Met, []Unmet) {
	var met []Met
	var unmet []Unmet
	for _, r := range asked {
		signature, rejections := r.first(ctx, found, digest)
		if signature == nil {
			unmet = append(unmet, Unmet{Path: r.path, Constraint: r.constraint, Rejections: rejections})
			continue
		}
		met = append(met, Met{Path: r.path, Constraint: r.constraint, Signature: *signature})
	}
	return met, unmet
}

// first returns the first signature that meets r, or nil and why each did not.
func (r requirement) first(ctx context.Context, found []candidate, digest v1.Hash) (*Signature, []Rejection) {
	var rejections []Rejection
	for _, c := range found {
		err := c.unusable
		if err == nil {
			var signature Signature
			if signature, err = r.match(ctx, c, digest); err == nil {
				return &signature, nil
			}
		}
		rejections = append(rejections, Rejection{Position: c.position, Payload: c.payload, Reason: err})
	}
	return nil, rejections
}
