package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"policy-server/cmd/internal/usage"
	"policy-server/registry"
	"policy-server/registry/evidence"
	"policy-server/registry/sign"
	"policy-server/registry/verify"
)

// signing is what the command line of sign asks for.
type signing struct {
	key         value
	token       value
	fulcio      value
	rekor       value
	upload      toggle
	timestamps  value
	layout      choice
	annotations list
	connection  connectionFlags
}

func (p *program) signCommand() *cobra.Command {
	command := newCommand("sign [OPTIONS] <URI>",
		"Sign a policy in a registry",
		`Sign the policy that a reference means now, and keep the signature beside it in its registry, where this program, the
policy server and cosign look for it. What is signed is the digest of the policy's manifest, never a tag.

Either a key pair signs (--key; COSIGN_PASSWORD holds the password of the private key) or an identity, for which Fulcio
issues a certificate (--identity-token, --fulcio-url). Who signs with an identity needs a witness to the time:
a transparency log (--rekor-url), a timestamp authority (--timestamp-url), or both.

URI is registry://HOST/REPO[:TAG][@DIGEST], also without registry://.`+proxyHelp,
		arguments([]string{"URI"}))
	command.Example = fmt.Sprintf(`  %[1]s sign --key cosign.key ghcr.io/acme/policy:v1
  %[1]s sign --key cosign.key --layout legacy -a env=prod ghcr.io/acme/policy:v1
  %[1]s sign --identity-token token.jwt --fulcio-url https://fulcio.example \
    --rekor-url https://rekor.example ghcr.io/acme/policy:v1`, p.name)
	var s signing
	flags := command.Flags()
	s.key.add(flags, "key", "", "FILE", "private key, PEM, as generate-key-pair or cosign make it, or unencrypted")
	s.token.add(flags, "identity-token", "", "TOKEN", "OpenID Connect token of who signs, or the file that holds it; without it $SIGSTORE_ID_TOKEN, unless a key signs")
	s.fulcio.add(flags, "fulcio-url", "", "URL", "certificate authority, for --identity-token")
	s.rekor.add(flags, "rekor-url", "", "URL", "transparency log in which the signature is recorded")
	s.upload.add(flags, "tlog-upload", "", "record the signature in the transparency log; by default if --rekor-url is given")
	s.timestamps.add(flags, "timestamp-url", "", "URL", "RFC 3161 timestamp authority, the whole URL")
	s.layout.Text = string(sign.Bundle)
	s.layout.add(flags, "layout", "", "LAYOUT", "a Sigstore bundle that refers to the policy, as cosign 3 makes them, or the tag sha256-….sig, as cosign 1 and 2 do", string(sign.Bundle), string(sign.Legacy))
	s.annotations.check = checkSignedAnnotation
	s.annotations.add(flags, "annotation", "a", "KEY=VALUE", "annotation that is signed as well")
	s.connection.add(flags)
	command.RunE = func(command *cobra.Command, args []string) error {
		return s.sign(command.Context(), p, args[0])
	}
	return command
}

func checkSignedAnnotation(text string) error {
	if key, _, ok := strings.Cut(text, "="); !ok || key == "" {
		return usage.Errorf("invalid value '%s' for '--annotation <KEY=VALUE>': no KEY=VALUE", text)
	}
	return nil
}

// sign signs what uri means.
func (s *signing) sign(ctx context.Context, p *program, uri string) error {
	cfg, err := s.config()
	if err != nil {
		return err
	}
	places, err := findPlaces()
	if err != nil {
		return err
	}
	ref, err := registry.ParseReference(normalise(uri))
	if err != nil {
		return err
	}
	log := p.log()
	client, err := s.connection.open(places, registry.Config{}, log)
	if err != nil {
		return err
	}
	cfg.Remote = client.RemoteOptions
	signer, err := sign.New(cfg)
	if err != nil {
		return err
	}
	digest, err := client.Digest(ctx, ref)
	if err != nil {
		return err
	}
	receipt, err := signer.Sign(ctx, digest, sign.Layout(s.layout.Text), annotationMap(s.annotations.texts))
	if err != nil {
		return err
	}
	if err := findAgain(ctx, client, receipt); err != nil {
		return err
	}
	logReceipt(log, receipt)
	_, err = fmt.Fprintf(p.stdout, "Policy successfully signed: %s\n", receipt.Digest)
	return err
}

// lostError reports a signature that was pushed and that no verifier will find.
type lostError struct {
	receipt sign.Receipt
	err     error // why it could not be looked for; nil: it is not among what there is
}

func (e *lostError) Error() string {
	text := fmt.Sprintf("the signature %s of %s was pushed, and the registry does not list it", e.receipt.Layer, e.receipt.Digest)
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	return text
}

func (e *lostError) Unwrap() error { return e.err }

// Hint says what the user can do next.
func (e *lostError) Hint() string {
	return "sign with --layout legacy, which needs no list of referrers, or have the registry's referrers API mended"
}

// findAgain looks for what was signed as a verifier does. A registry may take a signature and not
// list it.
func findAgain(ctx context.Context, client *registry.Client, receipt sign.Receipt) error {
	list, err := verify.List(ctx, receipt.Digest, client.RemoteOptions(ctx))
	if slices.ContainsFunc(list, func(found evidence.Found) bool { return found.Layer == receipt.Layer }) {
		return nil
	}
	return &lostError{receipt, err}
}

// config says who signs, and who bears witness.
func (s *signing) config() (sign.Config, error) {
	cfg := sign.Config{FulcioURL: s.fulcio.Text, RekorURL: s.rekor.Text, TimestampURL: s.timestamps.Text}
	switch {
	case s.key.Given && s.token.Given:
		return sign.Config{}, usage.Errorf("the argument '--key' cannot be used with '--identity-token'")
	case s.upload.Given && s.upload.on() && !s.rekor.Given:
		return sign.Config{}, usage.Missing("--rekor-url <URL>")
	case s.upload.Given && !s.upload.on():
		cfg.RekorURL = ""
	}
	if s.key.Given {
		key, err := readPrivateKey(s.key.Text)
		cfg.Key = key
		return cfg, err
	}
	token, err := s.identity()
	if err != nil {
		return sign.Config{}, err
	}
	cfg.IdentityToken = token
	switch {
	case token == "":
		return sign.Config{}, usage.Missing("--key <FILE> or --identity-token <TOKEN>")
	case cfg.FulcioURL == "":
		return sign.Config{}, usage.Missing("--fulcio-url <URL>")
	case cfg.RekorURL == "" && cfg.TimestampURL == "":
		return sign.Config{}, usage.Missing("--rekor-url <URL> or --timestamp-url <URL>")
	}
	return cfg, nil
}

// identity returns the identity token, "" when there is none. It had better be in a file or the
// environment: command lines are for all to see.
func (s *signing) identity() (string, error) {
	if !s.token.Given {
		return os.Getenv("SIGSTORE_ID_TOKEN"), nil
	}
	content, err := os.ReadFile(s.token.Text)
	switch {
	case err == nil:
		return strings.TrimSpace(string(content)), nil
	case strings.Count(s.token.Text, ".") == 2: // a token has three parts
		return s.token.Text, nil
	}
	return "", fmt.Errorf("identity token: neither a token nor a file that can be read: %w", system(err))
}

func logReceipt(log *zap.Logger, r sign.Receipt) {
	fields := []zap.Field{zap.Stringer("digest", r.Digest), zap.String("layout", string(r.Layout))}
	if r.Key != "" {
		fields = append(fields, zap.String("key", r.Key))
	}
	if r.Identity != "" {
		fields = append(fields, zap.String("identity", r.Identity), zap.String("issuer", r.Issuer))
	}
	if r.LogIndex != nil {
		fields = append(fields, zap.Int64("logIndex", *r.LogIndex))
	}
	if r.Timestamps > 0 {
		fields = append(fields, zap.Int("timestamps", r.Timestamps))
	}
	log.Info("signed", fields...)
}
