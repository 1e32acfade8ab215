package sigstoretest_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/sign"
)

// newAuthority returns an authority and the trust root that verifiers have of it.
func newAuthority(t *testing.T) (*sigstoretest.Authority, *root.TrustedRoot) {
	t.Helper()
	authority, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := authority.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	material, err := root.NewTrustedRootFromJSON(trusted)
	if err != nil {
		t.Fatal(err)
	}
	return authority, material
}

// Layers verify with cosign, which reads them in code of its own.
func TestLayersVerifyWithCosign(t *testing.T) {
	authority, material := newAuthority(t)
	alice, err := authority.Issue(sigstoretest.Identity{Email: "alice@example.com", Issuer: "https://accounts.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := name.NewDigest("registry.example/image@sha256:" + strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := sign.Claims(digest, map[string]string{"env": "prod"})
	if err != nil {
		t.Fatal(err)
	}
	signature, err := authority.SignPayload(alice, payload, sigstoretest.How{Timestamped: true})
	if err != nil {
		t.Fatal(err)
	}
	layer, err := signature.Layer()
	if err != nil {
		t.Fatal(err)
	}
	logged, err := cosign.VerifyImageSignature(t.Context(), layer, v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}, &cosign.CheckOpts{
		TrustedMaterial: material, ClaimVerifier: cosign.SimpleClaimVerifier, Offline: true, UseSignedTimestamps: true,
		Annotations: map[string]any{"env": "prod"},
		Identities:  []cosign.Identity{{Subject: "alice@example.com", Issuer: "https://accounts.example.com"}},
	})
	if err != nil || !logged {
		t.Errorf("logged %t, %v", logged, err)
	}
}

// What is made here verifies with sigstore's own library under everything it can demand.
func TestBundlesVerifyWithSigstoreGo(t *testing.T) {
	authority, material := newAuthority(t)
	workflow, err := authority.Issue(sigstoretest.Workflow("alice/policy"))
	if err != nil {
		t.Fatal(err)
	}
	digest, _, err := v1.SHA256(strings.NewReader("image"))
	if err != nil {
		t.Fatal(err)
	}
	statement, err := sigstoretest.Statement(digest, map[string]string{"env": "prod"})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		sign func(sigstoretest.Credential, []byte, sigstoretest.How) (*sigstoretest.Signature, error)
		data []byte
		how  sigstoretest.How
	}{
		{"envelope in the first log", authority.SignStatement, statement, sigstoretest.How{}},
		{"envelope in the first log, older kind", authority.SignStatement, statement, sigstoretest.How{Log: sigstoretest.RekorV1Intoto}},
		{"envelope in the second log", authority.SignStatement, statement, sigstoretest.How{Log: sigstoretest.RekorV2, Timestamped: true}},
		{"message in the first log", authority.SignPayload, []byte("image"), sigstoretest.How{Timestamped: true}},
		{"message in the second log", authority.SignPayload, []byte("image"), sigstoretest.How{Log: sigstoretest.RekorV2, Timestamped: true}},
	}
	verifier, err := verify.NewVerifier(material, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1),
		verify.WithSignedCertificateTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			signature, err := tc.sign(workflow, tc.data, tc.how)
			if err != nil {
				t.Fatal(err)
			}
			content, err := signature.Bundle()
			if err != nil {
				t.Fatal(err)
			}
			var b bundle.Bundle
			if err := b.UnmarshalJSON(content); err != nil {
				t.Fatal(err)
			}
			sum, err := hex.DecodeString(digest.Hex)
			if err != nil {
				t.Fatal(err)
			}
			policy := verify.NewPolicy(verify.WithArtifactDigest("sha256", sum), verify.WithoutIdentitiesUnsafe())
			result, err := verifier.Verify(&b, policy)
			if err != nil {
				t.Fatal(err)
			}
			summary := result.Signature.Certificate
			if summary.Issuer != sigstoretest.GitHubIssuer || summary.GithubWorkflowRepository != "alice/policy" {
				t.Errorf("certificate of %+v", summary)
			}
			if at := result.VerifiedTimestamps[0].Timestamp; time.Since(at) > time.Hour {
				t.Errorf("signed at %s", at)
			}
		})
	}
}
