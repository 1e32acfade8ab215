package verify

import (
	"context"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/registry/evidence"
)

// List returns the signatures of d without verifying them, for people to look at. When one place
// could not be read, it returns what the other has and a *LookupError.
func List(ctx context.Context, d name.Digest, options []remote.Option) ([]evidence.Found, error) {
	digest, err := v1.NewHash(d.DigestStr())
	if err != nil {
		return nil, &LookupError{Digest: d, Err: err}
	}
	found := evidence.Discover(ctx, d, func(ctx context.Context) []remote.Option {
		return append(slices.Clone(options), remote.WithContext(ctx))
	}, func([]evidence.Candidate) bool { return false })
	var list []evidence.Found
	for _, c := range found.Candidates() {
		list = append(list, c.Describe(digest))
	}
	if err := found.Err(); err != nil {
		return list, &LookupError{Digest: d, Err: err}
	}
	return list, nil
}
