package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"policy-server/cmd/internal/trustroot"
	"policy-server/cmd/internal/usage"
	"policy-server/registry/evidence"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// verificationFlags say which signatures a policy must carry.
type verificationFlags struct {
	config        value
	keys          list
	annotations   list
	email         value
	issuer        value
	owner         value
	repo          value
	trustConfig   value
	allowUnsigned toggle
}

func (f *verificationFlags) add(flags *pflag.FlagSet) {
	f.config.add(flags, "verification-config-path", "", "FILE", "the signatures a policy must carry, YAML; excludes the flags below. Without any of them, verification-config.yml in the configuration directory, if that exists")
	f.keys.add(flags, "verification-key", "k", "FILE", "public key, PEM, that must have signed the policy")
	f.annotations.check = checkAnnotation
	f.annotations.add(flags, "verification-annotation", "a", "KEY=VALUE", "annotation that each signature must carry")
	f.email.add(flags, "cert-email", "", "EMAIL", "subject of a keyless signature; needs --cert-oidc-issuer")
	f.issuer.add(flags, "cert-oidc-issuer", "", "URL", "issuer of a keyless signature; needs --cert-email")
	f.owner.add(flags, "github-owner", "", "OWNER", "owner of the GitHub repository whose Actions signed the policy")
	f.repo.add(flags, "github-repo", "", "REPO", "that repository; needs --github-owner")
	f.trustConfig.add(flags, "sigstore-trust-config", "", "FILE", "Sigstore trust root for keyless signatures, instead of the public-good one; JSON, a ClientTrustConfig or a trusted root")
	f.allowUnsigned.add(flags, "allow-unsigned-unsafe", "", "do without the verification config in the configuration directory")
}

// checkAnnotation refuses what the replaced tool drops: a typing mistake must not weaken a
// verification.
func checkAnnotation(text string) error {
	if key, _, ok := strings.Cut(text, "="); !ok || key == "" {
		return usage.Errorf("invalid value '%s' for '--verification-annotation <KEY=VALUE>': no KEY=VALUE", text)
	}
	return nil
}

// requirement is the signatures a policy must carry.
type requirement struct {
	config      verify.Config
	defaultFile string // that asks for them; "" when a flag does
}

// requirement reads what the flags, or the file in the default place, ask for; nil when nothing
// does.
func (f *verificationFlags) requirement(p places, log *zap.Logger) (*requirement, error) {
	if f.allowUnsigned.on() {
		if f.asks() || f.config.Given {
			return nil, usage.Errorf("the argument '--allow-unsigned-unsafe' cannot be used with other verification flags")
		}
		log.Warn("policies are not verified: --allow-unsigned-unsafe")
		return nil, nil
	}
	if f.asks() {
		config, err := f.constraints()
		if err != nil {
			return nil, err
		}
		return &requirement{config: config}, nil
	}
	return f.fromFile(p, log)
}

// trust is where the trust root comes from that keyless signatures need.
func (f *verificationFlags) trust(p places, log *zap.Logger) (trust.Source, error) {
	return trustroot.Source(f.trustConfig.Text, "PKI file", p.trustCache(), log)
}

// asks reports whether a flag other than the config's asks for a signature.
func (f *verificationFlags) asks() bool {
	return f.asksForIdentity() || f.repo.Given || len(f.annotations.texts) > 0
}

func (f *verificationFlags) asksForIdentity() bool {
	return len(f.keys.texts) > 0 || f.email.Given || f.issuer.Given || f.owner.Given
}

// constraints is what the flags ask for: everything given must hold. The texts and their order are
// kwctl's.
func (f *verificationFlags) constraints() (verify.Config, error) {
	switch {
	case !f.asksForIdentity() && !f.repo.Given:
		return verify.Config{}, saidf("Intending to verify annotations, but no verification keys, OIDC issuer or GitHub owner were passed")
	case f.repo.Given && !f.owner.Given:
		return verify.Config{}, saidf("Intending to verify GitHub actions signature, but the repository owner is missing.")
	case f.email.Given != f.issuer.Given:
		return verify.Config{}, saidf("Intending to verify OIDC issuer, but no email or issuer were provided. You must pass the email and OIDC issuer to be validated together ")
	}
	var all []verify.Constraint
	annotations := annotationMap(f.annotations.texts)
	if f.issuer.Given {
		all = append(all, verify.GenericIssuer{Issuer: f.issuer.Text, Subject: verify.SubjectEqual(f.email.Text), Annotations: annotations})
	}
	if f.owner.Given {
		all = append(all, verify.GithubAction{Owner: f.owner.Text, Repo: f.repo.Text, Annotations: annotations})
	}
	for _, file := range f.keys.texts {
		key, err := readKey(file)
		if err != nil {
			return verify.Config{}, err
		}
		all = append(all, verify.PubKey{Key: key, Annotations: annotations})
	}
	if f.config.Given {
		return verify.Config{}, errors.New("verification-config-path cannot be used in conjunction with other verification flags")
	}
	return verify.Config{AllOf: all}, nil
}

// annotationMap reads KEY=VALUE texts that were checked; the last one wins for a key.
func annotationMap(texts []string) map[string]string {
	if len(texts) == 0 {
		return nil
	}
	annotations := map[string]string{}
	for _, text := range texts {
		key, content, _ := strings.Cut(text, "=")
		annotations[key] = content
	}
	return annotations
}

func readKey(file string) (evidence.PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return evidence.PublicKey{}, fmt.Errorf("could not read file %s: %w", file, system(err))
	}
	key, err := evidence.ParsePublicKey(data)
	if err != nil {
		return evidence.PublicKey{}, fmt.Errorf("verification key %s: %w", file, err)
	}
	return key, nil
}

// fromFile reads the verification config that was named, else the one in the default place.
func (f *verificationFlags) fromFile(p places, log *zap.Logger) (*requirement, error) {
	file, byDefault := f.config.Text, ""
	if !f.config.Given {
		file = p.verification()
		byDefault = file
	}
	data, err := os.ReadFile(file)
	switch {
	case byDefault != "" && errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("failed to read verification file %s: %w", file, system(err))
	}
	if byDefault != "" {
		log.Info("Default verification config present, using it", zap.String("file", file))
	}
	config, err := verify.ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("verification file %s: %w", file, err)
	}
	return &requirement{config, byDefault}, nil
}
