package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	goruntime "runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// repository is a conversation with one repository, authenticated once for its manifests and blobs. Goroutines may share it.
//
// The pulling side of go-containerregistry is not used: it reads a manifest's digest from a header for one old media
// type, where a registry could pass anything off as the signed manifest.
type repository struct {
	name             name.Repository
	client           *http.Client
	maxManifestBytes int64
}

// authenticate asks the registry for a challenge and answers it.
func (c *Client) authenticate(ctx context.Context, named name.Repository) (*repository, error) {
	credentials, err := authn.Resolve(ctx, c.keychain, named)
	if err != nil {
		return nil, err
	}
	authenticated, err := transport.NewWithContext(ctx, named.Registry, credentials, c.connections,
		[]string{named.Scope(transport.PullScope)})
	if err != nil {
		return nil, scrub(err)
	}
	return &repository{
		name:             named,
		client:           &http.Client{Transport: authenticated},
		maxManifestBytes: c.maxManifestBytes,
	}, nil
}

// get requests one manifest or blob. The scheme becomes the one the registry was reached by when it was authenticated to.
func (r *repository) get(ctx context.Context, kind, identifier, accept string) (*http.Response, error) {
	url := fmt.Sprintf("https://%s/v2/%s/%s/%s", r.name.RegistryStr(), r.name.RepositoryStr(), kind, identifier)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, scrub(err)
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// acceptedManifests is the header Kubewarden sends: some registries answer with the first type they can convert to.
const acceptedManifests = string(types.DockerManifestSchema2 + ", " + types.DockerManifestList + ", " +
	types.OCIManifestSchema1 + ", " + types.OCIImageIndex)

// manifest returns a manifest and the digest of its bytes, which is the one asked for if ref has one.
func (r *repository) manifest(ctx context.Context, ref name.Reference) (name.Digest, []byte, error) {
	resp, err := r.get(ctx, "manifests", ref.Identifier(), acceptedManifests)
	if err != nil {
		return name.Digest{}, nil, err
	}
	defer resp.Body.Close()
	content, err := readLimited(resp.Body, "manifest", r.maxManifestBytes)
	if err != nil {
		return name.Digest{}, nil, err
	}
	// Header and reference are what the registry says and what was asked for; the bytes decide.
	promised := []string{resp.Header.Get("Docker-Content-Digest")}
	if digest, ok := ref.(name.Digest); ok {
		promised = append(promised, digest.DigestStr())
	}
	for _, digest := range promised {
		if hex, ok := strings.CutPrefix(digest, "sha256:"); ok {
			if err := checkSHA256(content, hex); err != nil {
				return name.Digest{}, nil, err
			}
		}
	}
	return r.name.Digest(digestOf(content)), content, nil
}

// module finds the module's layer in a manifest, through this platform's entry if it is an index. Every step is by digest,
// so the layer is part of what the first manifest's digest stands for.
func (r *repository) module(ctx context.Context, content []byte) (layer, error) {
	m, err := parseManifest(content)
	if err != nil {
		return layer{}, err
	}
	if !m.isIndex() {
		return m.module()
	}
	entry, err := m.entryFor(goruntime.GOOS, goruntime.GOARCH)
	if err != nil {
		return layer{}, err
	}
	_, content, err = r.manifest(ctx, r.name.Digest(entry.Digest))
	if err != nil {
		return layer{}, err
	}
	m, err = parseManifest(content)
	if err != nil {
		return layer{}, err
	}
	if m.isIndex() {
		return layer{}, fmt.Errorf("index entry %q is an index itself, expected an image manifest", entry.Digest)
	}
	return m.module()
}

// blob reads the content of a layer and checks it against the layer's digest.
func (r *repository) blob(ctx context.Context, l layer) ([]byte, error) {
	resp, err := r.get(ctx, "blobs", l.digest.String(), "*/*")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// A byte too many is enough to make the digest another one.
	content, err := io.ReadAll(io.LimitReader(resp.Body, l.size+1))
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
