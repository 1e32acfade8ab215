package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/zap"

	"policy-server/hostcalls"
	"policy-server/hostcalls/oci"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry"
	"policy-server/registry/sign"
	"policy-server/registry/trust"
)

// remembering keeps everything for as long as a test runs.
var remembering = oci.CacheConfig{Lifetime: time.Hour, RefusedLifetime: time.Hour, DigestLifetime: time.Hour, Bytes: 1 << 20}

// site is a registry on loopback with a Sigstore of its own.
type site struct {
	host      string
	authority *sigstoretest.Authority
	requests  atomic.Int64
	pulls     atomic.Int64 // of signature manifests: one for each verification
	answer    atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

func newSite(t testing.TB) *site {
	t.Helper()
	authority, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{authority: authority}
	backend := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)), ociregistry.WithReferrersSupport(true))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if strings.HasSuffix(r.URL.Path, ".sig") && r.Method == http.MethodGet {
			s.pulls.Add(1)
		}
		if answer := s.answer.Load(); answer != nil && (*answer)(w, r) {
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = server.Listener.Addr().String()
	return s
}

// intercept lets answer see each request first; it says whether it answered.
func (s *site) intercept(answer func(http.ResponseWriter, *http.Request) bool) {
	s.answer.Store(&answer)
}

// forget begins counting anew.
func (s *site) forget() { s.requests.Store(0); s.pulls.Store(0) }

func (s *site) client(t testing.TB) *registry.Client {
	t.Helper()
	client, err := registry.Open(registry.Config{Sources: registry.Sources{InsecureSources: []string{s.host}}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *site) trust(t testing.TB) trust.Source {
	t.Helper()
	document, err := s.authority.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	return trust.Given(root)
}

// verifier returns one that trusts the site's Sigstore.
func (s *site) verifier(t testing.TB, cfg oci.CacheConfig) *oci.ImageVerifier {
	t.Helper()
	v := oci.NewImageVerifier(s.client(t), s.trust(t), cfg, zap.NewNop())
	t.Cleanup(v.Close)
	return v
}

// push writes a new image under tag v1 of repository.
func (s *site) push(t testing.TB, repository string) name.Digest {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s.put(t, repository, image, func(tag name.Tag) error { return remote.Write(tag, image) })
}

// pushIndex writes a new multi-platform image under tag v1 of repository.
func (s *site) pushIndex(t testing.TB, repository string) name.Digest {
	t.Helper()
	index, err := random.Index(64, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	return s.put(t, repository, index, func(tag name.Tag) error { return remote.WriteIndex(tag, index) })
}

func (s *site) put(t testing.TB, repository string, what interface{ Digest() (v1.Hash, error) }, write func(name.Tag) error) name.Digest {
	t.Helper()
	tag, err := name.NewTag(s.image(repository))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := write(tag); err != nil {
		t.Fatal(err)
	}
	return tag.Context().Digest(hash.String())
}

// image is the reference of what push wrote.
func (s *site) image(repository string) string { return s.host + "/" + repository + ":v1" }

// newKey returns a key that signs without a certificate.
func newKey(t testing.TB) sigstoretest.Credential {
	t.Helper()
	credential, err := sigstoretest.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// issue returns a key with a certificate of the site's Sigstore.
func (s *site) issue(t testing.TB, id sigstoretest.Identity) sigstoretest.Credential {
	t.Helper()
	credential, err := s.authority.Issue(id)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// sign attaches a signature in the layout of ".sig" tags.
func (s *site) sign(t testing.TB, d name.Digest, by sigstoretest.Credential, how sigstoretest.How, annotations map[string]string) {
	t.Helper()
	s.signFor(t, d, d, by, how, annotations)
}

// signFor attaches to d a signature of another image.
func (s *site) signFor(
	t testing.TB, d, another name.Digest, by sigstoretest.Credential, how sigstoretest.How, annotations map[string]string,
) {
	t.Helper()
	payload, err := sign.Claims(another, annotations)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := s.authority.SignPayload(by, payload, how)
	if err != nil {
		t.Fatal(err)
	}
	layer, err := signature.Layer()
	if err != nil {
		t.Fatal(err)
	}
	if err := sign.AttachLayer(t.Context(), d, layer); err != nil {
		t.Fatal(err)
	}
}

// signBundle attaches a signature as a bundle.
func (s *site) signBundle(t testing.TB, d name.Digest, by sigstoretest.Credential, how sigstoretest.How, annotations map[string]string) {
	t.Helper()
	hash, err := v1.NewHash(d.DigestStr())
	if err != nil {
		t.Fatal(err)
	}
	statement, err := sigstoretest.Statement(hash, annotations)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := s.authority.SignStatement(by, statement, how)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := signature.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	if err := sigstoretest.AttachBundle(t.Context(), d, bundle); err != nil {
		t.Fatal(err)
	}
}

// fields are the members of a request.
type fields map[string]any

func encode(t testing.TB, document any) []byte {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keyed asks version 2 for signatures of image by keys.
func keyed(t testing.TB, image string, keys ...sigstoretest.Credential) []byte {
	t.Helper()
	return encode(t, fields{"type": "SigstorePubKeyVerify", "image": image, "pub_keys": pems(keys...)})
}

func pems(keys ...sigstoretest.Credential) []string {
	var texts []string
	for _, key := range keys {
		texts = append(texts, string(key.Signer.PublicKeyPEM()))
	}
	return texts
}

// numbers spells bytes as guests do.
func numbers(content []byte) []int {
	spelt := []int{}
	for _, b := range content {
		spelt = append(spelt, int(b))
	}
	return spelt
}

func certificatePEM(t testing.TB, der []byte) []byte {
	t.Helper()
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// calls makes a host call of a capability as the dispatcher does, grants and kinds aside.
func calls(ctx context.Context, of hostcalls.Understanding, payload []byte) ([]byte, error) {
	request, err := of(payload)
	if err != nil {
		return nil, err
	}
	answer, err := request.Perform(ctx)
	if err != nil {
		return nil, &hostcalls.FailureError{Err: err}
	}
	return answer, nil
}
