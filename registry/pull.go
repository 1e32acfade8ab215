package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// repository is a conversation with one repository, authenticated once for its manifests and blobs.
// Goroutines may share it.
//
// The pulling side of go-containerregistry is not used: it reads a manifest's digest from a header
// for one old media type, where a registry could pass anything off as the signed manifest.
type repository struct {
	name             name.Repository
	client           *http.Client
	retries          Retries
	maxManifestBytes int64
	noCredentials    error // why there are none, when there should be
	isForGuests      bool
}

// authenticate asks the registry for a challenge and answers it, for the scope transport.PullScope
// or PushScope.
func (c *Client) authenticate(ctx context.Context, named name.Repository, scope string) (*repository, error) {
	if c.isForGuests {
		if err := c.reach.Load().rules.allow(named.RegistryStr()); err != nil {
			return nil, &UnreachableError{Host: named.RegistryStr(), Err: err}
		}
	}
	credentials, noCredentials := authn.Resolve(ctx, c.keychain, named)
	if noCredentials != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		credentials = authn.Anonymous
	}
	r := &repository{name: named, retries: c.retries, maxManifestBytes: c.maxManifestBytes, noCredentials: noCredentials, isForGuests: c.isForGuests}
	bounded := &manifestLimit{next: c.transport, limit: c.maxManifestBytes}
	authenticated, err := transport.NewWithContext(ctx, named.Registry, credentials, bounded, []string{named.Scope(scope)})
	if err != nil {
		return nil, r.explain(err)
	}
	r.client = &http.Client{Transport: authenticated, CheckRedirect: followRedirect}
	return r, nil
}

// explain adds to a refusal why no credentials were sent, and takes secrets out of any error.
func (r *repository) explain(err error) error {
	var refused *transport.Error
	if r.noCredentials != nil && errors.As(err, &refused) && isRefusal(refused) {
		return &CredentialsError{Host: r.name.RegistryStr(), Refusal: refused, Err: r.noCredentials}
	}
	if r.isForGuests {
		return unreachable(r.name.RegistryStr(), Scrub(err), r.client != nil)
	}
	return Scrub(err)
}

// url is where the registry has something of this repository. The scheme becomes the one the
// registry was reached by when it was authenticated to.
func (r *repository) url(kind, identifier string) string {
	return fmt.Sprintf("https://%s/v2/%s/%s/%s", r.name.RegistryStr(), r.name.RepositoryStr(), kind, identifier)
}

// do sends a request, and returns the answer if its status is one of those expected.
func (r *repository) do(req *http.Request, expected ...int) (*http.Response, error) {
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, r.explain(err)
	}
	if err := transport.CheckError(resp, expected...); err != nil {
		_ = resp.Body.Close()
		var answer *transport.Error
		if !errors.As(err, &answer) { // what it says is too long or cut off: its status must do
			err = &transport.Error{StatusCode: resp.StatusCode, Request: resp.Request}
		}
		return nil, r.explain(err)
	}
	return resp, nil
}

// get requests one manifest or blob, with the headers.
func (r *repository) get(ctx context.Context, kind, identifier string, header http.Header, expected ...int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(kind, identifier), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header = header
	return r.do(req, expected...)
}

// acceptedManifests is the header Kubewarden sends: some registries answer with the first type they
// can convert to.
const acceptedManifests = string(types.DockerManifestSchema2 + ", " + types.DockerManifestList + ", " +
	types.OCIManifestSchema1 + ", " + types.OCIImageIndex)

// manifest returns a manifest and the digest of its bytes, which is the one asked for if ref has
// one.
func (r *repository) manifest(ctx context.Context, ref name.Reference) (name.Digest, []byte, error) {
	manifest, err := r.described(ctx, ref)
	return manifest.Digest, manifest.Content, err
}

// described is manifest with the registry's word for its type.
func (r *repository) described(ctx context.Context, ref name.Reference) (Manifest, error) {
	var answered http.Header
	d := download{
		open: func(ctx context.Context, header http.Header) (*http.Response, error) {
			header.Set("Accept", acceptedManifests)
			resp, err := r.get(ctx, "manifests", ref.Identifier(), header, http.StatusOK)
			if err == nil {
				answered = resp.Header
			}
			return resp, err
		},
		retries:  r.retries,
		what:     "manifest",
		limit:    r.maxManifestBytes,
		size:     -1,
		noRanges: true, // it is small, and a tag may move
	}
	content, err := d.read(ctx)
	if err != nil {
		return Manifest{}, err
	}
	// Header and reference are what the registry says and what was asked for; the bytes decide.
	promised := []string{answered.Get("Docker-Content-Digest")}
	if digest, ok := ref.(name.Digest); ok {
		promised = append(promised, digest.DigestStr())
	}
	for _, digest := range promised {
		if hex, ok := strings.CutPrefix(digest, "sha256:"); ok {
			if err := checkSHA256(content, hex); err != nil {
				return Manifest{}, err
			}
		}
	}
	mediaType, _, _ := strings.Cut(answered.Get("Content-Type"), ";")
	return Manifest{r.name.Digest(digestOf(content)), strings.TrimSpace(mediaType), content}, nil
}

// blob reads the content of a layer and checks it against the layer's digest.
func (r *repository) blob(ctx context.Context, l layer) ([]byte, error) {
	d := download{
		open: func(ctx context.Context, header http.Header) (*http.Response, error) {
			return r.get(ctx, "blobs", l.digest.String(), header, statusesFor(header)...)
		},
		retries:   r.retries,
		what:      "module",
		limit:     l.size, // a byte too many is enough to make the digest another one
		size:      l.size,
		progress:  progressOf(ctx),
		addressed: true,
	}
	content, err := d.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read layer %q: %w", l.digest, err)
	}
	return content, checkSHA256(content, l.digest.Hex)
}

// checkSHA256 compares content with a hex digest; the error is a *DigestMismatchError.
func checkSHA256(content []byte, want string) error {
	sum := sha256.Sum256(content)
	if got := hex.EncodeToString(sum[:]); got != want {
		return &DigestMismatchError{Want: want, Got: got}
	}
	return nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}
