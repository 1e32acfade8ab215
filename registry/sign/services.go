package sign

import (
	"context"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
)

// retries is how often a service is asked again that answers with a status of 5xx or 429.
const retries = 3

// certificates is Fulcio under its URL: the client's own errors do not say who answered.
type certificates struct {
	url    string
	fulcio *sign.Fulcio
}

func newCertificates(url string) *certificates {
	return &certificates{url, sign.NewFulcio(&sign.FulcioOptions{BaseURL: url, Retries: retries})}
}

// GetCertificate returns a certificate for the public key of pair.
func (c *certificates) GetCertificate(ctx context.Context, pair sign.Keypair, options *sign.CertificateProviderOptions) ([]byte, error) {
	der, err := c.fulcio.GetCertificate(ctx, pair, options)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %s: %w", c.url, err)
	}
	return der, nil
}

// transparencyLog is Rekor under its URL, for the same reason.
type transparencyLog struct {
	url   string
	rekor *sign.Rekor
}

func newTransparencyLog(url string) *transparencyLog {
	return &transparencyLog{url, sign.NewRekor(&sign.RekorOptions{BaseURL: url, Retries: retries})}
}

// GetTransparencyLogEntry has signed included in the log, and adds the proof to it.
func (l *transparencyLog) GetTransparencyLogEntry(ctx context.Context, verifier []byte, signed *protobundle.Bundle) error {
	if err := l.rekor.GetTransparencyLogEntry(ctx, verifier, signed); err != nil {
		return fmt.Errorf("transparency log %s: %w", l.url, err)
	}
	return nil
}
