package verify

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
)

// match checks that s was made with the key, over a payload that names digest and holds the annotations. The payload
// is only read once the signature over it holds.
func (c PubKey) match(ctx context.Context, s candidate, digest v1.Hash) (Signature, error) {
	var signed claims
	var claimErr error
	options := cosign.CheckOpts{
		// Left nil, cosign would accept a signature made for another digest.
		ClaimVerifier: func(sig oci.Signature, digest v1.Hash, _ map[string]any) error {
			signed, claimErr = verifyClaims(sig, digest)
			return claimErr
		},
		IgnoreTlog: true,
		IgnoreSCT:  true,
		Offline:    true,
	}
	var err error
	for _, verifier := range c.Key.verifiers {
		options.SigVerifier = verifier
		if _, err = cosign.VerifyImageSignature(ctx, s.signature, digest, &options); err == nil || claimErr != nil {
			break
		}
	}
	switch {
	case claimErr != nil:
		return Signature{}, claimErr
	case err != nil:
		return Signature{}, fmt.Errorf("invalid signature for key %s: %w", c.Key.Fingerprint(), err)
	}
	if err := signed.hold(c.Annotations); err != nil {
		return Signature{}, err
	}
	return Signature{
		Position: s.position, Payload: s.payload, Key: c.Key.Fingerprint(), Annotations: signed.annotations,
	}, nil
}
