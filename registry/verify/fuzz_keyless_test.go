package verify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"google.golang.org/protobuf/proto"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// referrer is a registry that has one referrer of everything, with one layer, and nothing else.
type referrer struct{ bundle []byte }

func (r referrer) RoundTrip(req *http.Request) (*http.Response, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(r.bundle))
	if err != nil {
		return nil, err
	}
	manifest := fmt.Appendf(nil, `{"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`, sigstoretest.BundleType, digest, size)
	id, _, err := v1.SHA256(bytes.NewReader(manifest))
	if err != nil {
		return nil, err
	}
	status, body, header := http.StatusOK, []byte(nil), http.Header{}
	switch path := req.URL.Path; {
	case strings.Contains(path, "/referrers/"):
		header.Set("Content-Type", string(types.OCIImageIndex))
		body = fmt.Appendf(nil, `{"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, types.OCIManifestSchema1, id, len(manifest))
	case strings.HasSuffix(path, "/manifests/"+id.String()):
		header.Set("Content-Type", string(types.OCIManifestSchema1))
		body = manifest
	case strings.HasSuffix(path, "/blobs/"+digest.String()):
		body = r.bundle
	case strings.Contains(path, "/manifests/"):
		status = http.StatusNotFound
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: header, Request: req,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func (r referrer) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(r)}
}

// FuzzBundle serves any bundle: no other statement than the signed one verifies, by certificate or
// by key, and every other answer is a typed error.
func FuzzBundle(f *testing.F) {
	authority, digest := newAuthority(f), fuzzName(f)
	hash := must[v1.Hash](f)(v1.NewHash(digest.DigestStr()))
	statement := must[[]byte](f)(sigstoretest.Statement(hash, annotations{"env": "prod"}))
	signer := issue(f, authority, alice())
	for _, how := range []sigstoretest.How{
		{}, {Log: sigstoretest.RekorV1Intoto, Timestamped: true}, {Log: sigstoretest.RekorV2, Timestamped: true}, {Log: sigstoretest.NotLogged},
	} {
		s := must[*sigstoretest.Signature](f)(authority.SignStatement(signer, statement, how))
		f.Add(must[[]byte](f)(s.Bundle()))
		s.Certificate = nil
		f.Add(must[[]byte](f)(s.Bundle()))
	}
	f.Add(must[[]byte](f)(must[*sigstoretest.Signature](f)(authority.SignPayload(signer, []byte("manifest"), sigstoretest.How{})).Bundle()))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"payload":"e30=","payloadType":"application/vnd.in-toto+json"}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","verificationMaterial":{"x509CertificateChain":{"certificates":[{}]},"tlogEntries":[{"logId":{},"kindVersion":{"kind":"dsse"}}]},"messageSignature":{}}`))

	trust := trust.Given(trustRoot(f, authority))
	honest := base64.StdEncoding.EncodeToString(statement)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, asked := range []verify.Constraint{aliceAsked(annotations{"env": "prod"}), keyOf(t, signer, nil)} {
			v := must[*verify.Verifier](t)(verify.New(allOf(asked), verify.Options{Remote: referrer{data}.options, Trust: trust}))
			checkAnswer(t, v, func() bool { return bytes.Contains(data, []byte(honest)) })
		}
		if _, err := verify.List(t.Context(), digest, referrer{data}.options(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// FuzzLayerAnnotations puts anything around a signed payload: it verifies with the one certificate
// that signed it, or the answer is a typed error.
func FuzzLayerAnnotations(f *testing.F) {
	authority, digest := newAuthority(f), fuzzName(f)
	signer := issue(f, authority, alice())
	payload := payloadFor(f, digest, nil)
	s := must[*sigstoretest.Signature](f)(authority.SignPayload(signer, payload, sigstoretest.How{Timestamped: true}))
	around := must[map[string]string](f)(must[oci.Signature](f)(s.Layer()).Annotations())
	certificate, entry, stamp := around[static.CertificateAnnotationKey], around[static.BundleAnnotationKey], around[static.RFC3161TimestampAnnotationKey]
	f.Add(certificate, entry, stamp)
	f.Add(certificate, entry, "")
	f.Add(certificate, strings.Replace(entry, "body", "Body", 1), `{"SignedRFC3161Timestamp":"MAA="}`)
	f.Add("", `{"Payload":{"body":7}}`, "null")
	f.Add(string(signer.Signer.PublicKeyPEM()), `{"SignedEntryTimestamp":"AA==","Payload":{"body":"eyJraW5kIjoiaGFzaGVkcmVrb3JkIiwiYXBpVmVyc2lvbiI6IjAuMC4xIiwic3BlYyI6e319"}}`, "7")

	trust := trust.Given(trustRoot(f, authority))
	f.Fuzz(func(t *testing.T, certificate, entry, stamp string) {
		layer := must[oci.Signature](t)(static.NewSignature(payload, around[static.SignatureAnnotationKey], static.WithAnnotations(map[string]string{
			static.CertificateAnnotationKey: certificate, static.BundleAnnotationKey: entry, static.RFC3161TimestampAnnotationKey: stamp,
		})))
		served := cannedRegistry{manifest: signatureManifest(t, layer), blob: payload}
		v := must[*verify.Verifier](t)(verify.New(allOf(aliceAsked(nil)), verify.Options{Remote: served.options, Trust: trust}))
		checkAnswer(t, v, func() bool {
			block, _ := pem.Decode([]byte(certificate))
			return block != nil && bytes.Equal(block.Bytes, s.Certificate.Raw)
		})
	})
}

// checkAnswer verifies fuzzDigest: it may only be accepted when it is the honest signature, and
// only be refused in a typed way.
func checkAnswer(t *testing.T, v *verify.Verifier, honest func() bool) {
	t.Helper()
	_, err := v.Verify(t.Context(), fuzzName(t))
	var unverified *verify.UnverifiedError
	var lookup *verify.LookupError
	switch {
	case err == nil && !honest():
		t.Error("verified what was not signed")
	case err != nil && !errors.As(err, &unverified) && !errors.As(err, &lookup):
		t.Errorf("got %T: %v", err, err)
	}
}

// FuzzLogEntry puts any log entry beside a signature that is good but for that: it is refused.
func FuzzLogEntry(f *testing.F) {
	authority, digest := newAuthority(f), fuzzName(f)
	hash := must[v1.Hash](f)(v1.NewHash(digest.DigestStr()))
	statement := must[[]byte](f)(sigstoretest.Statement(hash, nil))
	signer := issue(f, authority, alice())
	sign := func(t testing.TB, how sigstoretest.How) *sigstoretest.Signature {
		return must[*sigstoretest.Signature](t)(authority.SignStatement(signer, statement, how))
	}
	for _, how := range []sigstoretest.How{{}, {Log: sigstoretest.RekorV1Intoto}, {Log: sigstoretest.RekorV2}} {
		entry := sign(f, how).Entry
		f.Add(entry.KindVersion.Kind, entry.KindVersion.Version, entry.CanonicalizedBody, entry.InclusionProof.Checkpoint.Envelope)
	}
	for _, kind := range []string{"dsse", "hashedrekord", "intoto"} {
		for _, spec := range []string{
			`{}`, `{"signatures":[],"envelopeHash":{},"payloadHash":{}}`, `{"signature":{"publicKey":{}},"data":{"hash":{}}}`,
			`{"content":{"envelope":{"signatures":[]}}}`, `{"content":{"envelope":{"signatures":[{}]},"hash":{},"payloadHash":{}}}`,
		} {
			f.Add(kind, "0.0.1", fmt.Appendf(nil, `{"kind":%q,"apiVersion":"0.0.1","spec":%s}`, kind, spec), "a - 1\n2\nAA==\n")
			f.Add(kind, "0.0.2", fmt.Appendf(nil, `{"kind":%q,"apiVersion":"0.0.2","spec":%s}`, kind, spec), "a\n2\nAA==\n")
		}
	}
	good := sign(f, sigstoretest.How{Timestamped: true})
	body, trust := good.Entry.CanonicalizedBody, trust.Given(trustRoot(f, authority))
	v := func(t *testing.T, content []byte, asked verify.Constraint) *verify.Verifier {
		return must[*verify.Verifier](t)(verify.New(allOf(asked), verify.Options{Remote: referrer{content}.options, Trust: trust}))
	}
	f.Fuzz(func(t *testing.T, kind, version string, changed []byte, checkpoint string) {
		s := *good
		s.Entry = proto.CloneOf(good.Entry)
		s.Entry.KindVersion.Kind, s.Entry.KindVersion.Version = kind, version
		s.Entry.CanonicalizedBody, s.Entry.InclusionProof.Checkpoint.Envelope = changed, checkpoint
		content, err := s.Bundle()
		if err != nil {
			return // text that no JSON can hold
		}
		for _, asked := range []verify.Constraint{aliceAsked(nil), keyOf(t, signer, nil)} {
			checkAnswer(t, v(t, content, asked), func() bool { return bytes.Equal(changed, body) })
		}
	})
}
