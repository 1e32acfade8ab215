package trust

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata/fetcher"
	"go.uber.org/zap"
)

// publicGoodURL is where the trust root of the public-good instance is published.
const publicGoodURL = tuf.DefaultMirror

// How long a fetched trust root is used, and how long one from the cache when it could not be
// fetched anew.
const (
	tufFresh      = 24 * time.Hour
	tufRetry      = 5 * time.Minute
	tufFailed     = 10 * time.Second // for how long whoever asks next is told so, and does not wait in turn
	tufFreshDays  = 1                // tufFresh in the library's unit: a restart within it needs no network
	tufPatience   = 15 * time.Second // with one request
	trustedTarget = "trusted_root.json"
)

// TUF fetches a trust root from a TUF repository (The Update Framework), and keeps it and the
// metadata around it in a folder: while that has not expired, a repository that cannot be reached
// does no harm. Its methods may be called by several goroutines; of several processes, each should
// have a folder of its own.
type TUF struct {
	config  TUFConfig
	turn    chan struct{} // held while fetching; guards what follows
	root    *Root
	failure error     // why there is no root; nil while there is one, or nobody asked
	until   time.Time // when root is to be fetched again
}

// TUFConfig says where a TUF finds things.
type TUFConfig struct {
	CacheDir string // created with mode 0700 when something is fetched
	URL      string // of the repository; empty: the public-good instance's
	Root     []byte // the root.json that trust in the repository begins with; nil: the public-good instance's, built in

	Log *zap.Logger // told before the repository is asked, and when its silence is made up for; nil: nobody is
}

// NewTUF returns a TUF; nothing is fetched yet.
func NewTUF(config TUFConfig) *TUF {
	if config.URL == "" {
		config.URL = publicGoodURL
	}
	if config.Root == nil {
		config.Root = tuf.DefaultRoot()
	}
	if config.Log == nil {
		config.Log = zap.NewNop()
	}
	return &TUF{config: config, turn: make(chan struct{}, 1)}
}

// TrustRoot returns the trust root, fetched within the last day or still valid in the cache. It
// blocks for the network about once a day, ctx at most.
func (t *TUF) TrustRoot(ctx context.Context) (*Root, error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t.turn }()
	if (t.root != nil || t.failure != nil) && time.Now().Before(t.until) {
		return t.root, t.failure
	}
	if err := os.MkdirAll(t.config.CacheDir, 0o700); err != nil {
		return nil, fmt.Errorf("Cannot create directory to cache sigstore data: %w", err)
	}
	root, err := t.load(t.online(ctx))
	next := tufFresh
	if err != nil {
		cached, cacheErr := t.load(t.offline())
		if cacheErr != nil {
			err = fmt.Errorf("trust root from %s: %w", t.config.URL, err)
			if ctx.Err() == nil {
				t.root, t.failure, t.until = nil, err, time.Now().Add(tufFailed)
			}
			return nil, err
		}
		t.config.Log.Warn("Sigstore trust root not fetched, the one in the cache is used",
			zap.String("url", t.config.URL), zap.Duration("again_after", tufRetry), zap.Error(err))
		root, next = cached, tufRetry
	}
	t.root, t.failure, t.until = root, nil, time.Now().Add(next)
	return root, nil
}

// online are options that fetch what the cache does not have or has for too long.
func (t *TUF) online(ctx context.Context) *tuf.Options {
	client := &http.Client{Timeout: tufPatience} // with the proxies of the environment
	var announce sync.Once
	return t.options(doer(func(req *http.Request) (*http.Response, error) {
		announce.Do(func() {
			t.config.Log.Info("Fetching sigstore data from remote TUF repository", zap.String("url", t.config.URL))
		})
		return client.Do(req.WithContext(ctx))
	})).WithCacheValidity(tufFreshDays)
}

// offline are options for which the cache must do. The library checks that nothing in it has
// expired.
func (t *TUF) offline() *tuf.Options {
	return t.options(doer(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("not in the cache")
	})).WithForceCache()
}

// doer is the client that the library asks for.
type doer func(*http.Request) (*http.Response, error)

// Do answers req.
func (d doer) Do(req *http.Request) (*http.Response, error) { return d(req) }

func (t *TUF) options(client doer) *tuf.Options {
	download := fetcher.NewDefaultFetcher()
	download.SetHTTPClient(client)
	return &tuf.Options{
		Root: t.config.Root, CachePath: t.config.CacheDir, RepositoryBaseURL: t.config.URL, Fetcher: download,
	}
}

func (t *TUF) load(options *tuf.Options) (*Root, error) {
	client, err := tuf.New(options)
	if err != nil {
		return nil, err
	}
	content, err := client.GetTarget(trustedTarget)
	if err != nil {
		return nil, err
	}
	return Parse(content)
}
