package verify_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"policy-server/internal/testing/sigstoretest"
	writer "policy-server/registry/sign"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// must returns value, or ends the test.
func must[T any](t testing.TB) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

const (
	aliceIssuer  = "https://accounts.example.com"
	aliceSubject = "alice@example.com"
)

func newAuthority(t testing.TB) *sigstoretest.Authority {
	t.Helper()
	return must[*sigstoretest.Authority](t)(sigstoretest.New())
}

// alice is the identity of a person.
func alice() sigstoretest.Identity {
	return sigstoretest.Identity{Email: aliceSubject, Issuer: aliceIssuer}
}

func issue(t testing.TB, a *sigstoretest.Authority, id sigstoretest.Identity) sigstoretest.Credential {
	t.Helper()
	return must[sigstoretest.Credential](t)(a.Issue(id))
}

func trustRoot(t testing.TB, a *sigstoretest.Authority) *trust.Root {
	t.Helper()
	return parseTrustRoot(t, must[[]byte](t)(a.TrustedRoot()))
}

func parseTrustRoot(t testing.TB, data []byte) *trust.Root {
	t.Helper()
	return must[*trust.Root](t)(trust.Parse(data))
}

// trusting returns a Verifier with a trust root at hand.
func trusting(t testing.TB, r *registryServer, cfg verify.Config, root *trust.Root) *verify.Verifier {
	t.Helper()
	return must[*verify.Verifier](t)(verify.New(cfg, verify.Options{Remote: r.options, Trust: trust.Given(root)}))
}

// layout makes and attaches signatures of one layout.
type layout struct {
	name   string
	make   func(*testing.T, *sigstoretest.Authority, sigstoretest.Credential, name.Digest, annotations, sigstoretest.How) *sigstoretest.Signature
	attach func(testing.TB, name.Digest, *sigstoretest.Signature)
}

func layouts() []layout {
	return []layout{{"legacy", makeLayer, attachLayer}, {"bundle", makeBundle, attachBundle}}
}

func makeLayer(
	t *testing.T, a *sigstoretest.Authority, c sigstoretest.Credential, d name.Digest, with annotations, how sigstoretest.How,
) *sigstoretest.Signature {
	t.Helper()
	return must[*sigstoretest.Signature](t)(a.SignPayload(c, payloadFor(t, d, with), how))
}

func makeBundle(
	t *testing.T, a *sigstoretest.Authority, c sigstoretest.Credential, d name.Digest, with annotations, how sigstoretest.How,
) *sigstoretest.Signature {
	t.Helper()
	hash := must[v1.Hash](t)(v1.NewHash(d.DigestStr()))
	statement := must[[]byte](t)(sigstoretest.Statement(hash, with))
	return must[*sigstoretest.Signature](t)(a.SignStatement(c, statement, how))
}

func attachLayer(t testing.TB, d name.Digest, s *sigstoretest.Signature) {
	t.Helper()
	layer, err := s.Layer()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.AttachLayer(t.Context(), d, layer); err != nil {
		t.Fatal(err)
	}
}

func attachBundle(t testing.TB, d name.Digest, s *sigstoretest.Signature) {
	t.Helper()
	if err := sigstoretest.AttachBundle(t.Context(), d, must[[]byte](t)(s.Bundle())); err != nil {
		t.Fatal(err)
	}
}

// constraints ask for one signer in the ways there are.

func keyOf(t testing.TB, c sigstoretest.Credential, with annotations) verify.Constraint {
	t.Helper()
	return key(t, c.Signer, with)
}

func certificateOf(
	t testing.TB, c sigstoretest.Credential, issuers *sigstoretest.Authority, with annotations,
) verify.Certificate {
	t.Helper()
	leaf := must[[]byte](t)(cryptoutils.MarshalCertificateToPEM(c.Certificate))
	chain := must[[]byte](t)(cryptoutils.MarshalCertificatesToPEM(issuers.Chain()))
	return verify.Certificate{
		Leaf:        must[verify.CertificateFile](t)(verify.ParseCertificates(leaf)),
		Chain:       must[verify.CertificateFile](t)(verify.ParseCertificates(chain)),
		Annotations: with,
	}
}

func urlPrefix(t testing.TB, text string) verify.Subject {
	t.Helper()
	return must[verify.Subject](t)(verify.SubjectURLPrefix(text))
}
