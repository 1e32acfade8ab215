package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"policy-server/registry"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// modules gets modules from where they are, and their signatures verified when somebody asked for
// it.
type modules struct {
	client      *registry.Client
	trust       trust.Source
	verifier    *verify.Verifier // nil: nothing is verified
	defaultFile string           // the verification config, when nobody named it
	log         *zap.Logger
}

// moduleFlags are the flags of every command that gets modules.
type moduleFlags struct {
	connection   connectionFlags
	verification verificationFlags
}

func (f *moduleFlags) add(flags *pflag.FlagSet) {
	f.connection.add(flags)
	f.verification.add(flags)
}

// open wires what the flags say. Modules are kept in storeDir, nowhere when it is empty. What is
// there already is used without asking for it again, unless it is to be verified.
func (f *moduleFlags) open(p places, storeDir string, log *zap.Logger) (*modules, error) {
	asked, err := f.verification.requirement(p, log)
	if err != nil {
		return nil, err
	}
	client, err := f.connection.open(p, registry.Config{StoreDir: storeDir, ReuseStored: asked == nil}, log)
	if err != nil {
		return nil, err
	}
	source, err := f.verification.trust(p, log)
	if err != nil {
		return nil, err
	}
	m := &modules{client: client, trust: source, log: log}
	if asked != nil {
		m.defaultFile = asked.defaultFile
		m.verifier, err = verify.New(asked.config, verify.Options{
			Remote: client.RemoteOptions, Trust: source, Store: registry.NewStore(storeDir),
		})
		if err != nil {
			return nil, fmt.Errorf("verification of policies: %w", err)
		}
	}
	return m, nil
}

// fetch returns the module of uri: verified, if that is asked for, and the very bytes the verified
// manifest promises.
func (m *modules) fetch(ctx context.Context, uri string) ([]byte, error) {
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return nil, err
	}
	if m.verifier == nil {
		artifact, err := m.client.Fetch(ctx, ref)
		if err != nil {
			return nil, err
		}
		return artifact.Module(ctx, registry.AllowUnsignedUnsafe(artifact.Digest))
	}
	if _, err := ref.OCI(); err != nil {
		return nil, m.refused(uri, err)
	}
	artifact, err := m.client.Fetch(ctx, ref)
	if err != nil {
		return nil, err
	}
	report, err := m.verifier.Check(ctx, artifact.Digest)
	if err != nil {
		return nil, m.refused(uri, err)
	}
	m.accepted(report)
	module, err := artifact.Module(ctx, report.Digest)
	if err != nil {
		return nil, err
	}
	m.log.Info("Local file checksum verification passed")
	m.log.Info("Local checksum successfully verified")
	return module, nil
}

// verify looks at the signatures of uri and downloads nothing.
func (m *modules) verify(ctx context.Context, uri string) error {
	if m.verifier == nil {
		return &noRequirementError{}
	}
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return err
	}
	if _, err := ref.OCI(); err != nil {
		return m.refused(uri, err)
	}
	digest, err := m.client.Digest(ctx, ref)
	if err != nil {
		return err
	}
	report, err := m.verifier.Check(ctx, digest)
	if err != nil {
		return m.refused(uri, err)
	}
	m.accepted(report)
	return nil
}

// noRequirementError reports that a policy is to be verified and no flag or file says against what.
// The text is kwctl's.
type noRequirementError struct{}

func (*noRequirementError) Error() string { return "could not retrieve sigstore options" }

// Hint lists the ways to say it.
func (*noRequirementError) Hint() string {
	return "say who must have signed the policy: --verification-key, --github-owner, --cert-email with --cert-oidc-issuer, " +
		"or a verification config (--verification-config-path; scaffold verification-config prints one)"
}

// accepted logs what a policy was accepted for.
func (m *modules) accepted(report verify.Report) {
	for _, met := range report.Met {
		m.log.Info("signature accepted", zap.String("constraint", met.Path), zap.Stringer("signature", met.Signature))
	}
	if report.Unreachable != nil {
		m.log.Warn("the registry cannot be reached: the stored signatures were verified, and one that was removed upstream still counts",
			zap.Stringer("digest", report.Digest.Digest()), zap.Error(report.Unreachable))
	}
	m.log.Info("Policy successfully verified", zap.Stringer("digest", report.Digest.Digest()))
}

func (m *modules) refused(uri string, err error) error {
	return &refusedError{uri: uri, defaultFile: m.defaultFile, err: err}
}

// refusedError reports a policy that does not carry the signatures asked for.
type refusedError struct {
	uri         string
	defaultFile string // that asks for them; "" when a flag does
	err         error
}

func (e *refusedError) Error() string {
	text := fmt.Sprintf("Policy %s cannot be validated\n%v", e.uri, e.err)
	if e.defaultFile != "" {
		text += "\nverified by the verification config in its default place: " + e.defaultFile
	}
	return text
}

func (e *refusedError) Unwrap() error { return e.err }

// Hint says what the user can do.
func (e *refusedError) Hint() string {
	hint := ""
	var hinted interface{ Hint() string }
	if errors.As(e.err, &hinted) {
		hint = hinted.Hint()
	}
	if e.defaultFile == "" {
		return hint
	}
	if hint != "" {
		hint += "; "
	}
	return hint + fmt.Sprintf("nobody asked for a verification but the file %s: --allow-unsigned-unsafe does without it once", e.defaultFile)
}
