package main

import (
	"policy-server/policies-examples/reason"
	"policy-server/sdk"
)

// A signer says who must have signed, in one of five ways.
type signer interface {
	// verify makes sure that an image is signed, with annotations, and returns its digest.
	verify(image string, annotations map[string]string) (digest string, err error)
	// what names the kind for messages about the settings.
	what() string
}

type pubKeys struct{ keys []string }

func (p pubKeys) verify(image string, annotations map[string]string) (string, error) {
	return sdk.VerifyPubKeysImage(image, p.keys, annotations)
}
func (pubKeys) what() string { return "Pub key" }

type keyless []sdk.KeylessInfo

func (k keyless) verify(image string, annotations map[string]string) (string, error) {
	return sdk.VerifyKeylessExactMatch(image, k, annotations)
}
func (keyless) what() string { return "Keyless" }

type keylessPrefix []sdk.KeylessPrefixInfo

func (k keylessPrefix) verify(image string, annotations map[string]string) (string, error) {
	return sdk.VerifyKeylessPrefixMatch(image, k, annotations)
}
func (keylessPrefix) what() string { return "Keyless" }

type githubActions struct{ owner, repo string }

func (g githubActions) verify(image string, annotations map[string]string) (string, error) {
	return sdk.VerifyKeylessGithubActions(image, g.owner, g.repo, annotations)
}
func (githubActions) what() string { return "GitHub action" }

// certificates must all have signed.
type certificates struct {
	leaves, chain      []string // PEM; a nil chain is none
	requireRekorBundle bool
}

func (c certificates) verify(image string, annotations map[string]string) (digest string, err error) {
	var chain [][]byte
	for _, issuer := range c.chain {
		chain = append(chain, []byte(issuer))
	}
	for _, leaf := range c.leaves {
		info := sdk.CertificateInfo{Certificate: []byte(leaf), Chain: chain, RequireRekorBundle: c.requireRekorBundle}
		verified, err := sdk.VerifyCertificate(image, info, annotations)
		if err != nil {
			return "", err
		}
		if digest != "" && digest != verified {
			return "", errMoved
		}
		digest = verified
	}
	return digest, nil
}
func (certificates) what() string { return "Certificate" }

// distrust asks the host about each certificate, and returns why the first one is not trusted; ""
// when all are.
func (c certificates) distrust() string {
	var chain []sdk.Certificate
	for _, issuer := range c.chain {
		chain = append(chain, sdk.PEM(issuer))
	}
	for _, leaf := range c.leaves {
		trusted, why, err := sdk.IsCertificateTrusted(sdk.TrustQuery{Certificate: sdk.PEM(leaf), Chain: chain})
		if err != nil {
			return reason.Of(err)
		}
		if !trusted {
			return why
		}
	}
	return ""
}
