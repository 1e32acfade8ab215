package policy

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/registry"
)

// Verifier vouches for a digest when the signatures on it meet the verification config. The
// VerifiedDigest it returns is what releases a module's bytes (registry.Artifact.Module): without
// one, nothing can be compiled.
//
// It must be safe for concurrent use. Errors say which constraints were not met and why; a
// [Refusal] is among what they wrap when that is certain.
type Verifier interface {
	Verify(context.Context, name.Digest) (registry.VerifiedDigest, error)
}

// Refusal is a Verifier's error about a digest that was looked at and must not run. Any other error
// says that nothing is known, because a registry could not be reached, for instance.
type Refusal interface {
	error
	RefusesDigest()
}

// NoDigestError is the Refusal of a module that no signature can belong to: a file, a plain
// download.
type NoDigestError struct{}

func (*NoDigestError) Error() string {
	return "only modules in a registry can be verified: use a registry:// reference"
}

// RefusesDigest makes it a Refusal.
func (*NoDigestError) RefusesDigest() {}

// AllowUnsignedUnsafe is the Verifier of a server without a verification config: it vouches for
// everything.
type AllowUnsignedUnsafe struct{}

// Verify vouches for digest without looking at a signature.
func (AllowUnsignedUnsafe) Verify(_ context.Context, digest name.Digest) (registry.VerifiedDigest, error) {
	return registry.AllowUnsignedUnsafe(digest), nil
}
