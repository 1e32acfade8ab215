package main

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"

	"policy-server/registry"
	"policy-server/registry/verify"
)

// loggedVerifier is the policies' Verifier. It logs what each module was accepted for.
type loggedVerifier struct {
	*verify.Verifier
	log *zap.Logger
}

// Verify is the Verifier's, with a line for each constraint that was met.
func (v loggedVerifier) Verify(ctx context.Context, digest name.Digest) (registry.VerifiedDigest, error) {
	report, err := v.Check(ctx, digest)
	if err != nil {
		return registry.VerifiedDigest{}, err
	}
	for _, met := range report.Met {
		v.log.Info("signature accepted", zap.Stringer("module", digest),
			zap.String("constraint", met.Path), zap.Stringer("signature", met.Signature))
	}
	return report.Digest, nil
}
