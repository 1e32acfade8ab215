package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"policy-server/registry/verify"
)

// fuzzDigest is what the fuzz targets verify; nothing has to be stored under it.
const fuzzDigest = "registry.example/policy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func fuzzName(t testing.TB) name.Digest {
	t.Helper()
	return must[name.Digest](t)(name.NewDigest(fuzzDigest))
}

// cannedRegistry answers every manifest and every blob with the same bytes, without a network.
type cannedRegistry struct{ manifest, blob []byte }

func (r cannedRegistry) RoundTrip(req *http.Request) (*http.Response, error) {
	body, header := []byte(nil), http.Header{}
	switch {
	case strings.Contains(req.URL.Path, "/manifests/"):
		body = r.manifest
		header.Set("Content-Type", string(types.OCIManifestSchema1))
	case strings.Contains(req.URL.Path, "/blobs/"):
		body = r.blob
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Header: header, Request: req,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

func (r cannedRegistry) options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(r)}
}

// signatureManifest lists one layer: payload with its signature.
func signatureManifest(t testing.TB, signature oci.Signature) []byte {
	t.Helper()
	hash, err := signature.Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := signature.Size()
	if err != nil {
		t.Fatal(err)
	}
	annotations, err := signature.Annotations()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: hash, Size: size}, // never fetched
		Layers: []v1.Descriptor{{
			MediaType: cosigntypes.SimpleSigningMediaType, Digest: hash, Size: size, Annotations: annotations,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// FuzzVerifyPayload signs any payload with the right key: it counts exactly when cosign's own claim
// check agrees, and the payload says one thing only.
func FuzzVerifyPayload(f *testing.F) {
	digest, err := name.NewDigest(fuzzDigest)
	if err != nil {
		f.Fatal(err)
	}
	hash, err := v1.NewHash(digest.DigestStr())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payloadFor(f, digest, nil))
	f.Add(payloadFor(f, digest, annotations{"env": "prod"}))
	for _, optional := range []string{`null`, `{"env":1}`, `{"env":["prod"]}`, `{"env":1e999}`, `{"env":"prod","env":2}`, `[]`} {
		f.Add(withOptional(digest, optional))
	}
	f.Add(bytes.Replace(payloadFor(f, digest, nil), []byte("critical"), []byte("CRITICAL"), 1))
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":"sha256:00"}}}`))
	f.Add([]byte(`{"critical":null}`))
	f.Add([]byte(``))

	alice := newSigner(f)
	wanted := annotations{"env": "prod"}
	f.Fuzz(func(t *testing.T, payload []byte) {
		signature := signed(t, alice, payload)
		served := cannedRegistry{manifest: signatureManifest(t, signature), blob: payload}
		for _, asked := range []annotations{nil, wanted} {
			v, err := verify.New(allOf(key(t, alice, asked)), verify.Options{Remote: served.options})
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(t.Context(), digest)
			var reference map[string]any
			if asked != nil {
				reference = map[string]any{"env": "prod"}
			}
			want := cosign.SimpleClaimVerifier(signature, hash, reference)
			var mistyped *json.UnmarshalTypeError
			if errors.As(want, &mistyped) && strings.HasPrefix(mistyped.Value, "number ") && mistyped.Type.Kind().String() == "float64" {
				continue // cosign reads numbers as floats and refuses some; here they are text
			}
			if err != nil && strings.Contains(err.Error(), "more than one member") {
				continue // cosign takes the last
			}
			if (err == nil) != (want == nil) {
				t.Errorf("payload %q, annotations %v: got %v, cosign says %v", payload, asked, err, want)
			}
		}
	})
}

// FuzzSignatureManifest serves any manifest and payload: nothing but the one honest payload
// verifies, and every other answer is one of the two typed errors.
func FuzzSignatureManifest(f *testing.F) {
	digest, err := name.NewDigest(fuzzDigest)
	if err != nil {
		f.Fatal(err)
	}
	alice := newSigner(f)
	honest := payloadFor(f, digest, nil)
	listed := signatureManifest(f, signed(f, alice, honest))
	f.Add(listed, honest)
	f.Add(listed, append([]byte(" "), honest...))
	f.Add(bytes.Replace(listed, []byte("image.manifest"), []byte("image.index"), 1), honest)
	f.Add(bytes.Replace(listed, []byte("simplesigning"), []byte("other"), 1), honest)
	f.Add(fmt.Appendf(nil, `{"layers":[{"digest":%q}]}`, digest.DigestStr()), []byte{})
	f.Add([]byte(`{"layers":null}`), []byte{})
	f.Add([]byte(`[]`), []byte{})

	cfg := allOf(key(f, alice, nil))
	f.Fuzz(func(t *testing.T, manifest, payload []byte) {
		v, err := verify.New(cfg, verify.Options{Remote: cannedRegistry{manifest, payload}.options})
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), digest)
		var unverified *verify.UnverifiedError
		var lookup *verify.LookupError
		switch {
		case err != nil && bytes.Equal(manifest, listed) && bytes.Equal(payload, honest):
			t.Errorf("the honest signature: %v", err)
		case err == nil && !bytes.Equal(payload, honest):
			t.Errorf("verified payload %q", payload)
		case err != nil && !errors.As(err, &unverified) && !errors.As(err, &lookup):
			t.Errorf("got %T: %v", err, err)
		}
	})
}
