package sigstoretest_test

import (
	"crypto"
	"io"
	"log"
	"net/http/httptest"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"policy-server/internal/testing/sigstoretest"
)

// cosign's own verification, from reference to answer, accepts attestations of the legacy layout as
// they are made here.
func TestAttestationsAreAcceptedByCosign(t *testing.T) {
	authority, material := newAuthority(t)
	key, err := sigstoretest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(key.Signer.PublicKeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	workflow, err := authority.Issue(sigstoretest.Workflow("alice/policy"))
	if err != nil {
		t.Fatal(err)
	}
	identities := []cosign.Identity{{Issuer: sigstoretest.GitHubIssuer, SubjectRegExp: ".*"}}
	for name, c := range map[string]struct {
		by      sigstoretest.Credential
		how     sigstoretest.How
		options cosign.CheckOpts
	}{
		"key":        {key, sigstoretest.How{Log: sigstoretest.NotLogged}, cosign.CheckOpts{SigVerifier: verifier, IgnoreTlog: true}},
		"logged key": {key, sigstoretest.How{}, cosign.CheckOpts{SigVerifier: verifier, TrustedMaterial: material}},
		"keyless":    {workflow, sigstoretest.How{}, cosign.CheckOpts{Identities: identities, TrustedMaterial: material}},
		"keyless, older kind of entry": {workflow, sigstoretest.How{Log: sigstoretest.RekorV1Intoto},
			cosign.CheckOpts{Identities: identities, TrustedMaterial: material}},
	} {
		t.Run(name, func(t *testing.T) {
			d := pushImage(t)
			const predicateType = "https://slsa.dev/provenance/v1"
			statement, err := sigstoretest.Attested(d, predicateType, []byte(`{"buildDefinition":{}}`))
			if err != nil {
				t.Fatal(err)
			}
			s, err := authority.SignStatement(c.by, statement, c.how)
			if err != nil {
				t.Fatal(err)
			}
			layer, err := s.EnvelopeLayer(predicateType)
			if err != nil {
				t.Fatal(err)
			}
			if err := sigstoretest.AttachAttestation(t.Context(), d, layer); err != nil {
				t.Fatal(err)
			}
			c.options.ClaimVerifier, c.options.Offline = cosign.IntotoSubjectClaimVerifier, true
			verified, logged, err := cosign.VerifyImageAttestations(t.Context(), d, &c.options)
			if err != nil {
				t.Fatal(err)
			}
			if len(verified) != 1 || logged == c.options.IgnoreTlog {
				t.Errorf("%d verified, logged %t", len(verified), logged)
			}
		})
	}
}

// pushImage writes a new image to a new registry.
func pushImage(t *testing.T) name.Digest {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	d, err := name.NewDigest(server.Listener.Addr().String() + "/image@" + hash.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(d, image); err != nil {
		t.Fatal(err)
	}
	return d
}
