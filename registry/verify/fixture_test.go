package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"policy-server/internal/testing/signer"
	"policy-server/registry/evidence"
	writer "policy-server/registry/sign"
	"policy-server/registry/verify"
)

// registryServer is an in-process registry on loopback that a test can make fail.
type registryServer struct {
	host  string
	close func() // before the test ends
	// answer, when set, sees each request first and says whether it answered it. Set it before the
	// first request.
	answer func(http.ResponseWriter, *http.Request) bool
}

// withReferrers makes a registry answer the referrers API.
var withReferrers = registry.WithReferrersSupport(true)

func newRegistry(t testing.TB, options ...registry.Option) *registryServer {
	t.Helper()
	r := &registryServer{}
	backend := registry.New(append(options, registry.Logger(log.New(io.Discard, "", 0)))...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.answer != nil && r.answer(w, req) {
			return
		}
		backend.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.host, r.close = server.Listener.Addr().String(), func() {
		server.CloseClientConnections()
		server.Close()
	}
	return r
}

// options retries at once, where the default is to wait seconds.
func (r *registryServer) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithRetryBackoff(remote.Backoff{Duration: time.Millisecond, Steps: 2}),
	}
}

// push writes a new artifact to repository "policy" and returns its digest.
func (r *registryServer) push(t testing.TB) name.Digest {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	digest := r.digest(t, hash)
	if err := remote.Write(digest, image); err != nil {
		t.Fatal(err)
	}
	return digest
}

func (r *registryServer) digest(t testing.TB, hash v1.Hash) name.Digest {
	t.Helper()
	digest, err := name.NewDigest(r.host + "/policy@" + hash.String())
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// put writes raw as the signature manifest of d.
func (r *registryServer) put(t testing.TB, d name.Digest, mediaType types.MediaType, raw []byte) {
	t.Helper()
	if err := remote.Put(signatureTag(d), manifest{mediaType, raw}); err != nil {
		t.Fatal(err)
	}
}

type manifest struct {
	mediaType types.MediaType
	raw       []byte
}

func (m manifest) RawManifest() ([]byte, error)        { return m.raw, nil }
func (m manifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }

func signatureTag(d name.Digest) name.Tag {
	return d.Context().Tag(strings.Replace(d.DigestStr(), ":", "-", 1) + ".sig")
}

// failing answers paths that contain fragment with status and body, and no others.
func failing(fragment string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, fragment) {
			return false
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// serving answers requests for manifests with body.
func serving(mediaType types.MediaType, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/manifests/") {
			return false
		}
		w.Header().Set("Content-Type", string(mediaType))
		_, _ = io.WriteString(w, body)
		return true
	}
}

func newSigner(t testing.TB) *signer.Signer {
	t.Helper()
	s, err := signer.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newP384(t testing.TB, hash crypto.Hash) *signer.Signer {
	t.Helper()
	s, err := signer.NewP384(hash)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign attaches an honest signature.
func sign(t testing.TB, s *signer.Signer, d name.Digest, annotations map[string]string) {
	t.Helper()
	if err := s.Sign(t.Context(), d, annotations); err != nil {
		t.Fatal(err)
	}
}

// attach attaches a signature by s over any payload.
func attach(t testing.TB, s *signer.Signer, d name.Digest, payload []byte) {
	t.Helper()
	attachSigned(t, d, signed(t, s, payload))
}

func attachSigned(t testing.TB, d name.Digest, signature oci.Signature) {
	t.Helper()
	if err := writer.AttachLayer(t.Context(), d, signature); err != nil {
		t.Fatal(err)
	}
}

func signed(t testing.TB, s *signer.Signer, payload []byte) oci.Signature {
	t.Helper()
	signature, err := s.SignPayload(payload)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// forged returns payload with the signature that s made for another one, and options to make it
// stranger.
func forged(t testing.TB, s *signer.Signer, signedPayload, payload []byte, opts ...static.Option) oci.Signature {
	t.Helper()
	encoded, err := signed(t, s, signedPayload).Base64Signature()
	if err != nil {
		t.Fatal(err)
	}
	signature, err := static.NewSignature(payload, encoded, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func payloadFor(t testing.TB, d name.Digest, annotations map[string]string) []byte {
	t.Helper()
	payload, err := writer.Claims(d, annotations)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(payload)
}

// key asks for a signature by s.
func key(t testing.TB, s *signer.Signer, annotations map[string]string) verify.PubKey {
	t.Helper()
	public, err := evidence.ParsePublicKey(s.PublicKeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	return verify.PubKey{Key: public, Annotations: annotations}
}

func allOf(constraints ...verify.Constraint) verify.Config { return verify.Config{AllOf: constraints} }

func anyOf(minimum int, constraints ...verify.Constraint) verify.Config {
	return verify.Config{AnyOf: &verify.AnyOf{MinimumMatches: minimum, Signatures: constraints}}
}

func newVerifier(t testing.TB, r *registryServer, cfg verify.Config) *verify.Verifier {
	t.Helper()
	v, err := verify.New(cfg, verify.Options{Remote: r.options})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
