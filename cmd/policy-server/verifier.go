package main

import (
	"context"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"

	"policy-server/registry"
	"policy-server/registry/verify"
)

// loggedVerifier is the policies' Verifier. It logs what each module was accepted for, and when
// that was not asked anew.
type loggedVerifier struct {
	*verify.Verifier
	log *zap.Logger
}

// Verify is the Verifier's, with a line for each constraint that was met, and a warning when the
// registry was not asked.
func (v loggedVerifier) Verify(ctx context.Context, digest name.Digest) (registry.VerifiedDigest, error) {
	report, err := v.Check(ctx, digest)
	if err != nil {
		return registry.VerifiedDigest{}, err
	}
	for _, met := range report.Met {
		v.log.Info("signature accepted", zap.Stringer("module", digest),
			zap.String("constraint", met.Path), zap.Stringer("signature", met.Signature))
	}
	if report.Unreachable != nil {
		v.log.Warn("the registry cannot be reached: the stored signatures were verified, and one that was removed upstream still counts",
			zap.Stringer("module", digest), zap.Error(report.Unreachable))
	}
	return report.Digest, nil
}
