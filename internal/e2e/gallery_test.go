package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/internal/testing/apiserver"
	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/guests"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/sign"
)

// gallery is a registry of container images with a Sigstore of its own.
type gallery struct {
	t         *testing.T
	host      string
	authority *sigstoretest.Authority
}

func newGallery(t *testing.T) *gallery {
	t.Helper()
	s := httptest.NewServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)), ociregistry.WithReferrersSupport(true)))
	t.Cleanup(s.Close)
	g := &gallery{t: t, host: strings.TrimPrefix(s.URL, "http://")}
	var err error
	g.authority, err = sigstoretest.New()
	g.must(err)
	return g
}

func (g *gallery) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// push publishes a new image under tag v1.
func (g *gallery) push(repository string) name.Digest {
	g.t.Helper()
	image, err := random.Image(64, 1)
	g.must(err)
	tag, err := name.NewTag(g.image(repository))
	g.must(err)
	g.must(remote.Write(tag, image))
	digest, err := image.Digest()
	g.must(err)
	return tag.Context().Digest(digest.String())
}

// image is the reference of what push published.
func (g *gallery) image(repository string) string { return g.host + "/" + repository + ":v1" }

func (g *gallery) key() sigstoretest.Credential {
	g.t.Helper()
	credential, err := sigstoretest.NewKey()
	g.must(err)
	return credential
}

func (g *gallery) issue(id sigstoretest.Identity) sigstoretest.Credential {
	g.t.Helper()
	credential, err := g.authority.Issue(id)
	g.must(err)
	return credential
}

// layout is where a signature is put.
type layout string

const (
	inTags    layout = "tags"    // cosign's .sig and .att
	inBundles layout = "bundles" // attached as referrers
)

func (g *gallery) sign(d name.Digest, where layout, by sigstoretest.Credential) {
	g.t.Helper()
	if where == inBundles {
		hash, err := v1.NewHash(d.DigestStr())
		g.must(err)
		statement, err := sigstoretest.Statement(hash, nil)
		g.must(err)
		signature, err := g.authority.SignStatement(by, statement, sigstoretest.How{})
		g.must(err)
		bundle, err := signature.Bundle()
		g.must(err)
		g.must(sigstoretest.AttachBundle(g.t.Context(), d, bundle))
		return
	}
	payload, err := sign.Claims(d, nil)
	g.must(err)
	signature, err := g.authority.SignPayload(by, payload, sigstoretest.How{})
	g.must(err)
	layer, err := signature.Layer()
	g.must(err)
	g.must(sign.AttachLayer(g.t.Context(), d, layer))
}

// attest has by state a predicate, JSON, about d.
func (g *gallery) attest(d name.Digest, where layout, by sigstoretest.Credential, predicateType string, predicate []byte) {
	g.t.Helper()
	statement, err := sigstoretest.Attested(d, predicateType, predicate)
	g.must(err)
	signature, err := g.authority.SignStatement(by, statement, sigstoretest.How{})
	g.must(err)
	if where == inBundles {
		bundle, err := signature.Bundle()
		g.must(err)
		g.must(sigstoretest.AttachReferrer(g.t.Context(), d, bundle, map[string]string{"dev.sigstore.bundle.predicateType": predicateType}))
		return
	}
	layer, err := signature.EnvelopeLayer(predicateType)
	g.must(err)
	g.must(sigstoretest.AttachAttestation(g.t.Context(), d, layer))
}

// serves starts the server with an example, under its name, that may ask for capabilities.
func (g *gallery) serves(example string, settings any, capabilities ...string) *server {
	g.t.Helper()
	trust, err := g.authority.TrustedRoot()
	g.must(err)
	policies, err := json.Marshal(map[string]any{example: map[string]any{
		"module":   guests.File(g.t, examples.Build(g.t, example)),
		"settings": settings, "allowedToMutate": true, "hostCapabilities": append([]string{}, capabilities...),
	}})
	g.must(err)
	return started(g.t, launchFrom(g.t, plain, map[string]string{
		"policies": string(policies), "sources-path": fmt.Sprintf("insecure_sources: [%q]\n", g.host), "sigstore-trust-config": string(trust),
	}, "--policy-timeout", "20"))
}

// runs asks policy about a Pod of one container, and returns the container's image afterwards, or
// why it may not run.
func runs(t *testing.T, s *server, policy, image string) (mutated, refusal string) {
	t.Helper()
	object := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":%q}]}}`, image)
	review := fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},
		"resource":{"group":"","version":"v1","resource":"pods"},"name":"web","namespace":"shop","operation":"CREATE","userInfo":{},"object":%s}}`, object)
	_, body := s.post(t, "/validate/"+policy, review)
	response := apiserver.Check(t, review, body)
	if !response.Allowed {
		return "", response.Result.Message
	}
	if response.Patch != nil {
		object = apiserver.Patched(t, response, object)
	}
	var pod struct {
		Spec struct{ Containers []struct{ Image string } }
	}
	if err := json.Unmarshal(object, &pod); err != nil {
		t.Fatal(err)
	}
	return pod.Spec.Containers[0].Image, ""
}
