package verify_test

import (
	"context"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// BenchmarkVerify is what verification adds to loading one policy: the lookups in both places, in a
// registry of this process, and the cryptography. At a real registry the lookups are its round
// trips.
func BenchmarkVerify(b *testing.B) {
	authority := newAuthority(b)
	workflow, keyed := issue(b, authority, sigstoretest.Workflow("alice/policy")), must[sigstoretest.Credential](b)(sigstoretest.NewKey())
	action := verify.GithubAction{Owner: "alice", Repo: "policy"}
	root := trustRoot(b, authority)
	for _, bc := range []struct {
		name   string
		signer sigstoretest.Credential
		asked  verify.Constraint
		attach func(testing.TB, name.Digest, *sigstoretest.Signature)
	}{
		{"by=key/layout=legacy", keyed, keyOf(b, keyed, nil), attachLayer},
		{"by=key/layout=bundle", keyed, keyOf(b, keyed, nil), attachBundle},
		{"by=keyless/layout=legacy", workflow, action, attachLayer},
		{"by=keyless/layout=bundle", workflow, action, attachBundle},
	} {
		b.Run(bc.name, func(b *testing.B) {
			r := newRegistry(b, withReferrers)
			d := r.push(b)
			sign, content := authority.SignStatement, []byte(nil)
			if hash := must[v1.Hash](b)(v1.NewHash(d.DigestStr())); bc.name[len(bc.name)-6:] == "legacy" {
				sign, content = authority.SignPayload, payloadFor(b, d, nil)
			} else {
				content = must[[]byte](b)(sigstoretest.Statement(hash, nil))
			}
			bc.attach(b, d, must[*sigstoretest.Signature](b)(sign(bc.signer, content, sigstoretest.How{})))
			v := must[*verify.Verifier](b)(verify.New(allOf(bc.asked), verify.Options{
				Remote: func(ctx context.Context) []remote.Option { return []remote.Option{remote.WithContext(ctx)} },
				Trust:  trust.Given(root),
			}))
			if _, err := v.Verify(b.Context(), d); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
