// Package sign makes signatures on a digest and keeps them beside it in its registry, in the two
// layouts that cosign and registry/verify read. It owns private keys for as long as it signs, the
// payloads that are signed, and the conversation with a certificate authority, a transparency log
// and a timestamp authority.
//
// The cryptography, the clients and the formats are sigstore's. It knows no flags, no trust roots,
// and not who accepts what it makes.
package sign

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// Layout says how a signature is kept.
type Layout string

// The layouts there are.
const (
	Bundle Layout = "bundle" // a Sigstore bundle that refers to the digest, as cosign 3 keeps it
	Legacy Layout = "legacy" // a layer of the image under the tag sha256-<hex>.sig, as cosign 1 and 2 keep it
)

// Config says who signs and who bears witness. It needs a Key, or IdentityToken and FulcioURL.
type Config struct {
	Key *Key // nil: a key is made for one signature and certified for the identity of the token

	IdentityToken string // OpenID Connect, for Fulcio's eyes only
	FulcioURL     string // the certificate authority

	RekorURL     string // the transparency log; "": none
	TimestampURL string // the RFC 3161 timestamp authority, with its path; "": none

	Remote func(context.Context) []remote.Option // how registries are reached
}

// Signer makes signatures. Goroutines may share it, but two that sign one digest in the legacy
// layout at a time may lose one of the signatures: that layout is a list in one file.
type Signer struct{ cfg Config }

// New returns a signer, and contacts no service. A certificate lives for minutes, so that one whose
// time of signing no service witnesses proves nothing: keyless signing needs a log or a timestamp
// authority.
func New(cfg Config) (*Signer, error) {
	switch {
	case cfg.Key != nil && cfg.IdentityToken != "":
		return nil, errors.New("either a key signs or an identity, not both")
	case cfg.Key != nil:
	case cfg.IdentityToken == "":
		return nil, errors.New("nobody signs: neither a key nor an identity token is given")
	case cfg.FulcioURL == "":
		return nil, errors.New("an identity token needs the certificate authority it is for")
	case cfg.RekorURL == "" && cfg.TimestampURL == "":
		return nil, errors.New("a keyless signature needs a transparency log or a timestamp authority: nobody could verify it once its certificate has expired")
	}
	return &Signer{cfg}, nil
}

// Receipt says what was signed, and by whom.
type Receipt struct {
	Digest     name.Digest
	Layout     Layout
	Layer      v1.Hash // of what was signed (legacy) or the bundle, by which the signature is found again
	Key        string  // fingerprint of the key, as registry/verify prints it; "" for a keyless signature
	Identity   string  // of the certificate; "" for a key's signature
	Issuer     string  // that vouched for the identity
	LogIndex   *int64  // of the transparency log's entry; nil without one
	Timestamps int     // of timestamp authorities
}

// Sign signs d with annotations, which may be nil, and adds the signature to those d has. Nothing
// is written to the registry unless all that was asked to witness the signature did. The error is
// an *AttachError when it is the registry's.
func (s *Signer) Sign(ctx context.Context, d name.Digest, layout Layout, annotations map[string]string) (Receipt, error) {
	content, attach, err := s.prepare(d, layout, annotations)
	if err != nil {
		return Receipt{}, err
	}
	signed, err := s.sign(ctx, content)
	if err != nil {
		return Receipt{}, fmt.Errorf("sign %s: %w", d, err)
	}
	receipt, err := s.receipt(d, layout, signed)
	if err != nil {
		return Receipt{}, fmt.Errorf("sign %s: %w", d, err)
	}
	if receipt.Layer, err = attach(ctx, signed); err != nil {
		return Receipt{}, newAttachError(d, err)
	}
	return receipt, nil
}

// prepare returns what is signed in a layout, and how the signature gets into the registry.
func (s *Signer) prepare(d name.Digest, layout Layout, annotations map[string]string) (sign.Content, func(context.Context, *protobundle.Bundle) (v1.Hash, error), error) {
	switch layout {
	case Bundle:
		statement, err := statement(d, annotations)
		return &sign.DSSEData{Data: statement, PayloadType: statementType}, func(ctx context.Context, signed *protobundle.Bundle) (v1.Hash, error) {
			return s.attachBundle(ctx, d, signed)
		}, err
	case Legacy:
		claims, err := Claims(d, annotations)
		return &sign.PlainData{Data: claims}, func(ctx context.Context, signed *protobundle.Bundle) (v1.Hash, error) {
			return hashOf(claims), s.attachLegacy(ctx, d, claims, signed)
		}, err
	}
	return nil, nil, fmt.Errorf("%q is no layout; known: %s, %s", layout, Bundle, Legacy)
}

func hashOf(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// sign makes a signature and collects what bears witness of it. Whatever the layout, it comes as a
// bundle.
func (s *Signer) sign(ctx context.Context, content sign.Content) (*protobundle.Bundle, error) {
	options := sign.BundleOptions{Context: ctx}
	var pair sign.Keypair = s.cfg.Key
	if s.cfg.Key == nil {
		ephemeral, err := sign.NewEphemeralKeypair(nil)
		if err != nil {
			return nil, err
		}
		pair = ephemeral
		options.CertificateProvider = newCertificates(s.cfg.FulcioURL)
		options.CertificateProviderOptions = &sign.CertificateProviderOptions{IDToken: s.cfg.IdentityToken}
	}
	if s.cfg.TimestampURL != "" {
		authority := sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: s.cfg.TimestampURL, Retries: retries})
		options.TimestampAuthorities = append(options.TimestampAuthorities, authority)
	}
	if s.cfg.RekorURL != "" {
		options.TransparencyLogs = append(options.TransparencyLogs, newTransparencyLog(s.cfg.RekorURL))
	}
	signed, err := sign.Bundle(content, pair, options)
	if err != nil {
		return nil, err
	}
	return signed, checkCertified(signed, pair)
}

// checkCertified refuses a certificate for another key than the one that signed: it would be found
// out only later, by verifiers.
func checkCertified(signed *protobundle.Bundle, pair sign.Keypair) error {
	der := signed.GetVerificationMaterial().GetCertificate().GetRawBytes()
	if der == nil {
		return nil
	}
	certified, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if err := cryptoutils.EqualKeys(pair.GetPublicKey(), certified.PublicKey); err != nil {
		return fmt.Errorf("the certificate is for another key than the one that signed: %w", err)
	}
	return nil
}

func (s *Signer) receipt(d name.Digest, layout Layout, signed *protobundle.Bundle) (Receipt, error) {
	receipt := Receipt{Digest: d, Layout: layout}
	material := signed.GetVerificationMaterial()
	if s.cfg.Key != nil {
		receipt.Key = s.cfg.Key.Fingerprint()
	} else {
		leaf, err := x509.ParseCertificate(material.GetCertificate().GetRawBytes())
		if err != nil {
			return Receipt{}, fmt.Errorf("certificate: %w", err)
		}
		summary, err := certificate.SummarizeCertificate(leaf)
		if err != nil {
			return Receipt{}, fmt.Errorf("certificate: %w", err)
		}
		receipt.Identity, receipt.Issuer = summary.SubjectAlternativeName, summary.Issuer
	}
	for _, entry := range material.GetTlogEntries() {
		receipt.LogIndex = &entry.LogIndex
	}
	receipt.Timestamps = len(material.GetTimestampVerificationData().GetRfc3161Timestamps())
	return receipt, nil
}
