package registry

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"
)

// optionalCredentials goes on without credentials when they cannot be had (an undecodable entry, a
// helper that is not installed), as Docker configs shared between machines need. It is for
// libraries, which would give up; our own requests keep the reason, for the case that the registry
// refuses them (repository.explain).
type optionalCredentials struct {
	from authn.Keychain
}

func (o optionalCredentials) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return o.ResolveContext(context.Background(), target)
}

func (o optionalCredentials) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	found, err := authn.Resolve(ctx, o.from, target)
	if err != nil {
		return authn.Anonymous, ctx.Err()
	}
	return found, nil
}
