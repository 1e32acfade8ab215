package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"policy-server/registry/internal/proof"
)

// VerifiedDigest is a digest somebody answers for: registry/verify, after verifying its signatures,
// or AllowUnsignedUnsafe. Nothing else can make one; the zero value vouches for nothing.
type VerifiedDigest = proof.Digest

// AllowUnsignedUnsafe vouches for d although no signature was verified. It is for operators who
// run without a verification config. The zero digest stands for modules that have none.
func AllowUnsignedUnsafe(d name.Digest) VerifiedDigest { return proof.Unsigned(d) }

// Artifact is a module found by Client.Fetch whose bytes were not read yet. Its fields are for
// reading; goroutines may share it.
type Artifact struct {
	Reference Reference
	// Digest is what signatures are looked up for, and what the reference meant when it was
	// fetched. It is zero for files, downloads, and modules taken from the store without asking the
	// registry.
	Digest name.Digest

	client    *Client
	digest    name.Digest // Digest, out of the reach of callers
	place     place
	layer     layer       // in a registry: the module
	manifests [][]byte    // that lead from digest to layer, when the registry was asked for them
	from      *repository // that was asked; nil: it is asked when it must be
}

// place is where the bytes of an artifact may come from.
type place int

const (
	placeFile     place = iota // the file that the reference names
	placeServer                // a plain download
	placeStore                 // the store, unproven
	placeRegistry              // the store, when what is in it is the layer; else the registry
)

// HasDigest reports whether the module is known by digest, so that it can be verified.
func (a *Artifact) HasDigest() bool { return a.digest.DigestStr() != "" }

// Module returns the module's bytes, if v vouches for this artifact's digest. For a digest they
// come from the store when the file there is what the manifest promises, else from the registry, by
// digest: a tag that moved and a registry that changed its mind since Fetch make no difference.
// They are checked, then stored, then returned; the caller owns them.
//
// A download that is cut off goes on where it ended. Callers who want the same module at the same
// time share one download, which goes on while one of them waits. The error is a *FetchError,
// around *DigestMismatchError, *TooLargeError and *StalledError among others.
func (a *Artifact) Module(ctx context.Context, v VerifiedDigest) ([]byte, error) {
	module, err := a.module(ctx, v)
	if err != nil {
		return nil, &FetchError{Reference: a.Reference, Err: err}
	}
	return module, nil
}

func (a *Artifact) module(ctx context.Context, v VerifiedDigest) ([]byte, error) {
	if !v.Vouched() {
		return nil, errors.New("nobody vouches for the module: verify its digest first")
	}
	if v.Digest().Name() != a.digest.Name() {
		return nil, fmt.Errorf("what was vouched for is another module: got %q, want %q", v.Digest().Name(), a.digest.Name())
	}
	module, err := a.client.read(ctx, a)
	var mismatch *DigestMismatchError
	if errors.As(err, &mismatch) {
		return nil, &DigestMismatchError{Want: mismatch.Want, Got: mismatch.Got, Signed: v.IsSigned()}
	}
	if err != nil {
		return nil, err
	}
	if err := checkMagic(module); err != nil {
		return nil, err
	}
	return module, nil
}

// read returns the bytes of a, from where they may come.
func (c *Client) read(ctx context.Context, a *Artifact) ([]byte, error) {
	switch a.place {
	case placeFile:
		return readFile(a.Reference.FilePath(), "module", c.maxModuleBytes)
	case placeServer:
		return c.downloaded(ctx, a.Reference)
	case placeStore:
		return c.stored(ctx, a)
	}
	content, err := c.download(ctx, a.Reference.URI()+" "+a.layer.digest.Hex, func(ctx context.Context) ([]byte, error) {
		return c.layerContent(ctx, a)
	})
	if err == nil && a.Reference.pinned() {
		c.store.keepManifests(a.manifests)
	}
	return content, err
}

// stored returns the module that is in the store under a's name, or what a registry has if that is
// none.
func (c *Client) stored(ctx context.Context, a *Artifact) ([]byte, error) {
	content, unusable := c.loadWhole(a.Reference)
	if unusable == nil {
		return content, nil
	}
	again, err := c.fetchFromRegistry(ctx, a.Reference)
	if err == nil {
		content, err = c.read(ctx, again)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; and it cannot be fetched again: %w", unusable, err)
	}
	return content, nil
}

// loadWhole reads a module from the store that nothing but its form speaks for.
func (c *Client) loadWhole(ref Reference) ([]byte, error) {
	content, err := c.store.load(ref, c.maxModuleBytes)
	if err == nil {
		err = checkMagic(content)
	}
	if err == nil && c.checkStored != nil {
		err = c.checkStored(content)
	}
	if err != nil {
		return nil, fmt.Errorf("stored module %q: %w", c.store.Path(ref), err)
	}
	return content, nil
}

// download returns what fetch returns, for this caller or for another one with the same key who is
// at it already. Each owns its content.
func (c *Client) download(ctx context.Context, key string, fetch func(context.Context) ([]byte, error)) ([]byte, error) {
	content, shared, err := c.downloads.DoShared(ctx, key, fetch)
	if shared {
		content = bytes.Clone(content)
	}
	return content, err
}

// layerContent returns the content of the module's layer, from the store or the registry. A stored
// file that cannot be read or is another one is replaced: the manifest decides, the store only
// saves time.
func (c *Client) layerContent(ctx context.Context, a *Artifact) ([]byte, error) {
	stored, unusable := c.store.load(a.Reference, a.layer.size)
	if unusable == nil {
		unusable = checkSHA256(stored, a.layer.digest.Hex)
	}
	if unusable == nil {
		return stored, nil
	}
	from, err := a.from, error(nil)
	if from == nil {
		from, err = c.authenticate(ctx, a.Reference.image.repository, transport.PullScope)
	}
	if err != nil {
		return nil, c.store.explain(err, unusable)
	}
	content, err := from.blob(ctx, a.layer)
	if err != nil {
		return nil, c.store.explain(err, unusable)
	}
	return c.keep(a.Reference, content)
}

// downloaded returns a module of the scheme https or http.
func (c *Client) downloaded(ctx context.Context, ref Reference) ([]byte, error) {
	// The store's file names have no place for a query: two different modules could go by one name.
	var unusable error
	if c.reuseStored && ref.download == ref.URI() && c.store.vouches(ref) {
		var content []byte
		if content, unusable = c.loadWhole(ref); unusable == nil {
			return content, nil
		}
	}
	content, err := c.download(ctx, ref.download, func(ctx context.Context) ([]byte, error) {
		d := download{
			open: func(ctx context.Context, header http.Header) (*http.Response, error) {
				return c.request(ctx, ref.download, header)
			},
			retries:  c.retries,
			what:     "module",
			limit:    c.maxModuleBytes,
			size:     -1,
			progress: progressOf(ctx),
		}
		content, err := d.read(ctx)
		if err != nil {
			return nil, err
		}
		return c.keep(ref, content)
	})
	if err != nil && unusable != nil {
		return nil, fmt.Errorf("%w; and it cannot be downloaded again: %w", unusable, err)
	}
	return content, err
}

// request asks for a module of the scheme https or http, with the header of a download.
func (c *Client) request(ctx context.Context, url string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, Scrub(err)
	}
	req.Header = header
	resp, err := (&http.Client{Transport: c.transport, CheckRedirect: followRedirect}).Do(req)
	if err != nil {
		return nil, Scrub(err)
	}
	if !slices.Contains(statusesFor(header), resp.StatusCode) {
		_ = resp.Body.Close()
		return nil, &StatusError{Code: resp.StatusCode}
	}
	return resp, nil
}

// keep stores a module and returns it, unless it is none.
func (c *Client) keep(ref Reference, module []byte) ([]byte, error) {
	if err := checkMagic(module); err != nil {
		return nil, err
	}
	err := c.store.save(ref, module)
	if err != nil && c.unstored != nil {
		c.unstored(ref.URI(), err)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return module, nil
}
