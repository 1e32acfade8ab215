package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// unreachable is a network without the registry.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func (u unreachable) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(u), remote.WithRetryPredicate(func(error) bool { return false }),
	}
}

// FuzzKept has the store keep anything: nothing verifies but the one payload that was signed, and
// every other answer is a LookupError.
func FuzzKept(f *testing.F) {
	digest, authority, person := fuzzName(f), newAuthority(f), newSigner(f)
	honest := payloadFor(f, digest, nil)
	signature, err := signed(f, person, honest).Base64Signature()
	if err != nil {
		f.Fatal(err)
	}
	type kept struct {
		Layout      string            `json:"layout"`
		Position    int               `json:"position"`
		Annotations map[string]string `json:"annotations,omitempty"`
		Content     []byte            `json:"content"`
	}
	statement := must[[]byte](f)(sigstoretest.Statement(hashOf(f, []byte("another image")), nil))
	made := must[*sigstoretest.Signature](f)(authority.SignStatement(issue(f, authority, alice()), statement, sigstoretest.How{}))
	for _, signatures := range [][]kept{
		{{"legacy", 0, annotations{"dev.cosignproject.cosign/signature": signature}, honest}},
		{{"legacy", -1, annotations{"dev.cosignproject.cosign/signature": signature}, append(honest, ' ')}},
		{{"legacy", 0, nil, honest}, {"bundle", 0, nil, must[[]byte](f)(made.Bundle())}},
		{{"bundle", 1 << 40, nil, nil}},
		nil,
	} {
		f.Add(must[[]byte](f)(json.Marshal(map[string]any{"signatures": signatures})))
	}
	f.Add([]byte(`{"signatures":[{}]}`))
	f.Add([]byte(`[]`))

	store := registry.NewStore(f.TempDir())
	v, err := verify.New(verify.Config{AnyOf: &verify.AnyOf{
		MinimumMatches: 1, Signatures: []verify.Constraint{key(f, person, nil), aliceAsked(nil)},
	}}, verify.Options{Remote: unreachable{}.options, Trust: trust.Given(trustRoot(f, authority)), Store: store})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := store.KeepSignatures(digest, append([]byte{}, content...)); err != nil {
			t.Fatal(err)
		}
		report, err := v.Check(t.Context(), digest)
		var lookup *verify.LookupError
		switch {
		case err != nil && !errors.As(err, &lookup):
			t.Errorf("got %T: %v", err, err)
		case err == nil && (report.Unreachable == nil || report.Met[0].Signature.Layer != hashOf(t, honest)):
			t.Errorf("verified %+v", report)
		}
	})
}
