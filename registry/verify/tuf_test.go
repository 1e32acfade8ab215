package verify_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// repository serves a trust root by TUF over HTTP.
type repository struct {
	*sigstoretest.TUFRepository
	server *httptest.Server
}

func newRepository(t *testing.T, content []byte, expires time.Time) *repository {
	t.Helper()
	r := must[*sigstoretest.TUFRepository](t)(sigstoretest.NewTUFRepository())
	if err := r.Publish(content, expires); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return &repository{r, server}
}

func (r *repository) source(cacheDir string) *trust.TUF {
	return r.logging(cacheDir, nil)
}

func (r *repository) logging(cacheDir string, log *zap.Logger) *trust.TUF {
	return trust.NewTUF(trust.TUFConfig{CacheDir: cacheDir, URL: r.server.URL, Root: r.Root(), Log: log})
}

const day = 24 * time.Hour

func TestTUF(t *testing.T) {
	authority := newAuthority(t)
	content := must[[]byte](t)(authority.TrustedRoot())
	r, reg := newRepository(t, content, time.Now().Add(7*day)), newRegistry(t)
	cache := filepath.Join(t.TempDir(), "new", "folder")
	source := r.source(cache)
	v := must[*verify.Verifier](t)(verify.New(allOf(
		verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual(aliceSubject)},
	), verify.Options{Remote: reg.options, Trust: trust.Fetched(source.TrustRoot)}))
	if n := r.Requests(); n != 0 {
		t.Errorf("%d requests before anything was verified", n)
	}
	d := reg.push(t)
	attachBundle(t, d, makeBundle(t, authority, issue(t, authority, alice()), d, nil, sigstoretest.How{}))
	if _, err := v.Verify(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(cache); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("cache: %v, %v", info, err)
	}
	fetched := r.Requests()
	if fetched == 0 {
		t.Fatal("nothing was fetched")
	}
	if _, err := v.Verify(t.Context(), d); err != nil || r.Requests() != fetched {
		t.Errorf("again: %v, after %d requests and not %d", err, r.Requests(), fetched)
	}
	if _, err := r.source(cache).TrustRoot(t.Context()); err != nil || r.Requests() != fetched {
		t.Errorf("after a restart: %v, after %d requests and not %d", err, r.Requests(), fetched)
	}
}

// Without its repository, a trust root is good for as long as the metadata around it says.
func TestTUF_unreachable(t *testing.T) {
	content := must[[]byte](t)(newAuthority(t).TrustedRoot())
	cases := []struct {
		name   string
		cached func(*testing.T, *repository, string) // what happened before the repository went away
		wanted bool
	}{
		{"valid in the cache", fetchLongAgo, true},
		{"expired in the cache", func(t *testing.T, r *repository, cache string) {
			fetchLongAgo(t, r, cache)
			expire(t, r, cache, content)
		}, false},
		{"never fetched", func(*testing.T, *repository, string) {}, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r, cache := newRepository(t, content, time.Now().Add(7*day)), t.TempDir()
			tc.cached(t, r, cache)
			r.server.Close()
			_, err := r.source(cache).TrustRoot(t.Context())
			if (err == nil) != tc.wanted {
				t.Errorf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "trust root from "+r.server.URL) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Those who ask while a repository fails are told so at once, and not each in turn after a wait of
// their own.
func TestTUF_failure(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	source := trust.NewTUF(trust.TUFConfig{CacheDir: t.TempDir(), URL: server.URL})
	_, first := source.TrustRoot(t.Context())
	asked := requests.Load()
	_, second := source.TrustRoot(t.Context())
	if first == nil || second == nil || first.Error() != second.Error() {
		t.Errorf("got %v, then %v", first, second)
	}
	if n := requests.Load(); asked == 0 || n != asked {
		t.Errorf("%d requests, %d in all", asked, n)
	}
}

// The log says that the network is needed, and that it failed while the cache makes up for it.
func TestTUF_logs(t *testing.T) {
	const fetching, made = "Fetching sigstore data from remote TUF repository", "Sigstore trust root not fetched, the one in the cache is used"
	r, cache := newRepository(t, must[[]byte](t)(newAuthority(t).TrustedRoot()), time.Now().Add(7*day)), t.TempDir()
	for _, step := range []struct {
		name    string
		prepare func()
		want    []string
	}{
		{"first", func() {}, []string{fetching}},
		{"in the cache", func() {}, nil},
		{"unreachable", func() { fetchLongAgo(t, r, cache); r.server.Close() }, []string{fetching, made}},
	} {
		step.prepare()
		core, logs := observer.New(zapcore.InfoLevel)
		must[*trust.Root](t)(r.logging(cache, zap.New(core)).TrustRoot(t.Context()))
		var got []string
		for _, entry := range logs.All() {
			got = append(got, entry.Message)
			if entry.ContextMap()["url"] != r.server.URL {
				t.Errorf("%s: %q does not name the repository: %v", step.name, entry.Message, entry.ContextMap())
			}
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s: logged %q, want %q", step.name, got, step.want)
		}
	}
}

// fetchLongAgo fills the cache and makes it look as if the repository had to be asked again.
func fetchLongAgo(t *testing.T, r *repository, cache string) {
	t.Helper()
	must[*trust.Root](t)(r.source(cache).TrustRoot(t.Context()))
	states := must[[]string](t)(filepath.Glob(filepath.Join(cache, "*.json")))
	if len(states) != 1 {
		t.Fatalf("cache holds %q", states)
	}
	if err := os.Remove(states[0]); err != nil {
		t.Fatal(err)
	}
}

// expire puts metadata into the cache that was good once.
func expire(t *testing.T, r *repository, cache string, content []byte) {
	t.Helper()
	if err := r.Publish(content, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	for path, role := range map[string]string{"2.targets": "targets", "2.snapshot": "snapshot", "timestamp": "timestamp"} {
		answer := must[*http.Response](t)(http.Get(r.server.URL + "/" + path + ".json"))
		metadata := must[[]byte](t)(io.ReadAll(answer.Body))
		answer.Body.Close()
		kept := must[[]string](t)(filepath.Glob(filepath.Join(cache, "*", role+".json")))
		if len(kept) != 1 || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s; cache holds %q", path, answer.Status, kept)
		}
		if err := os.WriteFile(kept[0], metadata, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A repository that nobody renewed does no more harm than one that cannot be reached.
func TestTUF_stale(t *testing.T) {
	content := must[[]byte](t)(newAuthority(t).TrustedRoot())
	r, cache := newRepository(t, content, time.Now().Add(7*day)), t.TempDir()
	fetchLongAgo(t, r, cache)
	if err := r.Publish(content, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.source(cache).TrustRoot(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.source(cache).TrustRoot(t.Context()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestTUF_refuses(t *testing.T) {
	content := must[[]byte](t)(newAuthority(t).TrustedRoot())
	r := newRepository(t, content, time.Now().Add(7*day))
	stranger := newRepository(t, content, time.Now().Add(7*day))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name   string
		source *trust.TUF
		want   string
	}{
		{"expired", newRepository(t, content, time.Now().Add(-time.Minute)).source(t.TempDir()), "expired"},
		{"signed by somebody else", trust.NewTUF(trust.TUFConfig{
			CacheDir: t.TempDir(), URL: r.server.URL, Root: stranger.Root(),
		}), "Verifying timestamp failed"},
		{"no trust root", newRepository(t, []byte(`{}`), time.Now().Add(day)).source(t.TempDir()), "missing trusted_root field"},
		{"cache cannot be created", r.source(filepath.Join(file, "cache")), "Cannot create directory to cache sigstore data: "},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := tc.source.TrustRoot(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestTUFEndsWithItsContext(t *testing.T) {
	reached := make(chan struct{})
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		once.Do(func() { close(reached) })
		<-req.Context().Done()
	}))
	defer server.Close()
	root := must[*sigstoretest.TUFRepository](t)(sigstoretest.NewTUFRepository()).Root()
	source := trust.NewTUF(trust.TUFConfig{CacheDir: t.TempDir(), URL: server.URL, Root: root})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	if _, err := source.TrustRoot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Keyless constraints without a trust root are refused, never passed over.
func TestMissingTrustRoot(t *testing.T) {
	r := newRegistry(t)
	d := r.push(t)
	signedByAlice := newSigner(t)
	sign(t, signedByAlice, d, nil)
	down := errors.New("the network is down")
	keyless := verify.GenericIssuer{Issuer: aliceIssuer, Subject: verify.SubjectEqual(aliceSubject)}
	cases := []struct {
		name   string
		config verify.Config
		trust  trust.Source
		want   error // nil: verified
	}{
		{"none configured", allOf(keyless), trust.Source{}, new(trust.RootError)},
		{"cannot be fetched", allOf(keyless), unavailable(down), down},
		{"one of several needs it", anyOf(1, key(t, signedByAlice, nil), verify.GithubAction{Owner: "alice"}), unavailable(down), down},
		{"keys only", allOf(key(t, signedByAlice, nil)), unavailable(down), nil},
		{"keys only, none configured", allOf(key(t, signedByAlice, nil)), trust.Source{}, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			v := must[*verify.Verifier](t)(verify.New(tc.config, verify.Options{Remote: r.options, Trust: tc.trust}))
			got, err := v.Verify(t.Context(), d)
			if tc.want == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var missing *trust.RootError
			if !errors.As(err, &missing) || got.Vouched() || !strings.Contains(missing.Hint(), "--sigstore-trust-config") {
				t.Fatalf("got %v, %v", got, err)
			}
			if tc.want == down && !errors.Is(err, down) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func unavailable(err error) trust.Source {
	return trust.Fetched(func(context.Context) (*trust.Root, error) { return nil, err })
}
