// Package registry turns a module reference into a digest and a digest into module bytes. It owns
// the reference syntax, the sources file (which hosts may be reached in what way), registry
// credentials, the local store of modules and pushing. It follows the OCI distribution and image
// specifications.
//
// It knows no signatures: it hands out bytes only for a VerifiedDigest, which registry/verify
// makes, or AllowUnsignedUnsafe for operators who chose so. It knows no WebAssembly beyond the four
// bytes a module starts with, and no flags.
package registry

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"policy-server/flight"
)

// The limits a Config without its own ones has. Real policies are below 10 MiB, but interpreters
// compiled to WebAssembly reach 100 MiB; a manifest of 4 MiB is what registries themselves accept.
const (
	DefaultMaxModuleBytes   = 512 << 20
	DefaultMaxManifestBytes = 4 << 20
)

// Config configures a Client. The zero value reaches HTTPS registries with the user's Docker
// credentials and stores nothing.
type Config struct {
	Sources  Sources
	StoreDir string         // root of the local store; empty: modules are kept nowhere
	Keychain authn.Keychain // nil: DockerConfig{}. Failures mean no credentials

	// ReuseStored takes a module from the store without asking its registry or server, unless its
	// reference is the tag latest. A reference by digest is taken so only when the registry cannot
	// be reached. What is taken that way is not tied to any digest, so it can be used unsigned
	// only. Without ReuseStored the store still saves downloads: of modules that are what a
	// manifest promises, which for a reference by digest may be a stored manifest. Nor is a file
	// taken that somebody else could have written.
	ReuseStored bool

	// CheckStored says what is wrong with a module that would be taken from the store so, which may
	// have been cut off: it is downloaded again then. nil: whatever begins as a module is one.
	CheckStored func(module []byte) error

	// Unstored is told of a module that could not be stored, and is used all the same; nil: that is
	// an error.
	Unstored func(module string, err error)

	MaxModuleBytes   int64 // zero: DefaultMaxModuleBytes
	MaxManifestBytes int64 // zero: DefaultMaxManifestBytes

	Retries      Retries
	StallTimeout time.Duration // how long a server may keep silent; zero: DefaultStallTimeout
}

// Client reaches registries and the local store. Goroutines may share it; it needs no closing.
type Client struct {
	transport        http.RoundTripper // connections, watched, with retries
	reach            *atomic.Pointer[reach]
	stallTimeout     time.Duration
	isForGuests      bool
	retries          Retries
	keychain         authn.Keychain
	store            Store
	downloads        *flight.Group[string, []byte] // for as long as anybody waits
	reuseStored      bool
	checkStored      func([]byte) error
	unstored         func(string, error)
	maxModuleBytes   int64
	maxManifestBytes int64
}

// Open makes a client. It reads the certificate files of the sources, and contacts no registry. The
// error joins what is wrong with each of them.
func Open(cfg Config) (*Client, error) {
	within, err := newReach(cfg.Sources)
	if err != nil {
		return nil, err
	}
	if cfg.Keychain == nil {
		cfg.Keychain = DockerConfig{}
	}
	if cfg.MaxModuleBytes == 0 {
		cfg.MaxModuleBytes = DefaultMaxModuleBytes
	}
	if cfg.MaxManifestBytes == 0 {
		cfg.MaxManifestBytes = DefaultMaxManifestBytes
	}
	if cfg.StallTimeout == 0 {
		cfg.StallTimeout = DefaultStallTimeout
	}
	c := &Client{
		reach:            new(atomic.Pointer[reach]),
		stallTimeout:     cfg.StallTimeout,
		retries:          cfg.Retries,
		keychain:         cfg.Keychain,
		store:            NewStore(cfg.StoreDir),
		downloads:        flight.NewGroup(flight.GroupConfig[string, []byte]{}),
		reuseStored:      cfg.ReuseStored,
		checkStored:      cfg.CheckStored,
		unstored:         cfg.Unstored,
		maxModuleBytes:   cfg.MaxModuleBytes,
		maxManifestBytes: cfg.MaxManifestBytes,
	}
	c.reach.Store(within)
	c.transport = c.watched(ownConnections{c.reach})
	return c, nil
}

// reach is how registries are reached under one version of the sources.
type reach struct {
	connections, guarded *connections
	rules                guestRules
}

func newReach(sources Sources) (*reach, error) {
	connections, err := newConnections(sources)
	if err != nil {
		return nil, err
	}
	return &reach{connections, connections.guarded(), newGuestRules(sources)}, nil
}

// SetSources has the client and those it has made for guests reach registries as sources say from
// now on. Requests under way end as they began. The error is that of Open, and nothing has changed
// then.
func (c *Client) SetSources(sources Sources) error {
	next, err := newReach(sources)
	if err != nil {
		return err
	}
	before := c.reach.Swap(next)
	before.connections.closeIdle()
	before.guarded.closeIdle()
	return nil
}

// ownConnections sends what the server itself asks for.
type ownConnections struct{ reach *atomic.Pointer[reach] }

// RoundTrip implements http.RoundTripper.
func (o ownConnections) RoundTrip(req *http.Request) (*http.Response, error) {
	return o.reach.Load().connections.RoundTrip(req)
}

// watched sends requests over connections, again when that helps, and gives up those that stall.
func (c *Client) watched(connections http.RoundTripper) http.RoundTripper {
	return &retrying{next: &stallGuard{next: connections, timeout: c.stallTimeout}, retries: c.retries}
}

// RemoteOptions returns the options under which go-containerregistry follows this client's sources,
// credentials and limits, until ctx ends. Signature lookups use them, so that they reach a registry
// exactly as pulls do.
func (c *Client) RemoteOptions(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithTransport(&referrersGuard{next: &manifestLimit{next: c.transport, limit: c.maxManifestBytes}}),
		remote.WithAuthFromKeychain(optionalCredentials{c.keychain}),
		remote.WithContext(ctx),
		// The transport has done so already.
		remote.WithRetryStatusCodes(),
		remote.WithRetryPredicate(func(error) bool { return false }),
	}
}

// Fetch finds out what ref means now: for a registry, the digest of its manifest, and the module's
// layer. Only manifests are read; Artifact.Module reads the module. A tag is asked for here, once.
// A digest is asked for unless the store has its manifest and a file for the module. The error is a
// *FetchError.
func (c *Client) Fetch(ctx context.Context, ref Reference) (*Artifact, error) {
	artifact, err := c.fetch(ctx, ref)
	if err != nil {
		return nil, &FetchError{Reference: ref, Err: err}
	}
	return artifact, nil
}

func (c *Client) fetch(ctx context.Context, ref Reference) (*Artifact, error) {
	switch ref.Scheme() {
	case SchemeFile:
		return &Artifact{Reference: ref, client: c, place: placeFile}, nil
	case SchemeHTTPS, SchemeHTTP:
		return &Artifact{Reference: ref, client: c, place: placeServer}, nil
	case SchemeRegistry:
		return c.fetchImage(ctx, ref)
	}
	return nil, errors.New("the reference is empty")
}

func (c *Client) fetchImage(ctx context.Context, ref Reference) (*Artifact, error) {
	stored, unproven := c.fetchFromStore(ref)
	if unproven == nil {
		return stored, nil
	}
	// The module that is in the store under the name of ref: nothing says that it is the right one,
	// so it has no digest, not even that in the reference, which is the manifest's and not the
	// file's.
	byName := &Artifact{Reference: ref, client: c, place: placeStore}
	reusable := c.reuseStored && !ref.movable() && c.store.vouches(ref)
	if reusable && !ref.pinned() {
		return byName, nil
	}
	artifact, err := c.fetchFromRegistry(ctx, ref)
	if err != nil && reusable && ctx.Err() == nil && IsUnavailable(err) {
		return byName, nil
	}
	return artifact, c.store.explain(err, unproven)
}

func (c *Client) fetchFromRegistry(ctx context.Context, ref Reference) (*Artifact, error) {
	from, err := c.authenticate(ctx, ref.image.repository, transport.PullScope)
	if err != nil {
		return nil, err
	}
	digest, manifest, err := from.manifest(ctx, ref.image.reference())
	if err != nil {
		return nil, err
	}
	a := &Artifact{Reference: ref, Digest: digest, client: c, digest: digest, place: placeRegistry, from: from}
	a.manifests = [][]byte{manifest}
	a.layer, err = c.findModule(manifest, func(digest string) ([]byte, error) {
		_, entry, err := from.manifest(ctx, ref.image.repository.Digest(digest))
		a.manifests = append(a.manifests, entry)
		return entry, err
	})
	return a, err
}

// Digest asks the registry what ref means now. The digest is that of the manifest's bytes, not what
// a header says. The error is a *FetchError, for references to other schemes as well.
func (c *Client) Digest(ctx context.Context, ref Reference) (name.Digest, error) {
	digest, err := c.digest(ctx, ref)
	if err != nil {
		return name.Digest{}, &FetchError{Reference: ref, Err: err}
	}
	return digest, nil
}

func (c *Client) digest(ctx context.Context, ref Reference) (name.Digest, error) {
	image, err := ref.OCI()
	if err != nil {
		return name.Digest{}, err
	}
	from, err := c.authenticate(ctx, image.Context(), transport.PullScope)
	if err != nil {
		return name.Digest{}, err
	}
	digest, _, err := from.manifest(ctx, image)
	return digest, err
}
