package registry_test

import (
	"crypto/sha512"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"policy-server/registry"
)

const megabyte = 1 << 20

// uploads scripts how a registry takes uploads, and notes them.
type uploads struct {
	patch, post, put http.HandlerFunc // nil: the registry's own

	mu   sync.Mutex
	sent []string // method and, for chunks, their range
}

func (u *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.URL.Path, "/blobs/uploads/") {
		return
	}
	u.mu.Lock()
	u.sent = append(u.sent, strings.TrimSpace(r.Method+" "+r.Header.Get("Content-Range")))
	u.mu.Unlock()
	if answer := map[string]http.HandlerFunc{http.MethodPatch: u.patch, http.MethodPost: u.post, http.MethodPut: u.put}[r.Method]; answer != nil {
		answer(w, r)
	}
}

func (u *uploads) all() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.sent, ",")
}

func TestChunkedUploads(t *testing.T) {
	t.Parallel()
	const (
		one, two, three    = "PATCH 0-4194303", "PATCH 4194304-8388607", "PATCH 8388608-9437191"
		chunks, monolithic = "POST," + one + "," + two + "," + three + ",PUT", "POST,PUT"
	)
	once := func(step http.HandlerFunc) http.HandlerFunc {
		done := false // handlers of one client's upload do not run side by side
		return func(w http.ResponseWriter, r *http.Request) {
			if !done {
				done = true
				step(w, r)
			}
		}
	}
	range0 := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/v2/p/blobs/uploads/1")
		w.Header().Set("Range", "0-99")
		w.WriteHeader(http.StatusAccepted)
	}
	for _, test := range []struct {
		name    string
		uploads *uploads
		size    int // of the module, without its first bytes
		sent    string
		want    string // part of the error
	}{
		{"small", &uploads{}, 100, monolithic, ""},
		{"large", &uploads{}, 9 * megabyte, chunks, ""},
		{"larger chunks asked for", &uploads{post: minChunk("8388608")}, 9 * megabyte, "POST,PATCH 0-8388607," + three + ",PUT", ""},
		{"absurd chunks asked for", &uploads{post: minChunk("99999999999999999999")}, 9 * megabyte, chunks, ""},
		{"chunks unknown", &uploads{patch: status(http.StatusMethodNotAllowed)}, 9 * megabyte, "POST," + one + "," + monolithic, ""},
		{"chunks not implemented", &uploads{patch: status(http.StatusNotImplemented)}, 9 * megabyte, "POST," + one + "," + monolithic, ""},
		{"chunks refused", &uploads{patch: status(http.StatusRequestedRangeNotSatisfiable)}, 9 * megabyte, "POST," + one + "," + monolithic, ""},
		{"chunk taken in part", &uploads{patch: range0}, 9 * megabyte, "POST," + one + "," + monolithic, ""},
		{"chunk answered without a way on", &uploads{patch: status(http.StatusAccepted)}, 9 * megabyte, "POST," + one + "," + monolithic, ""},
		{"trouble once", &uploads{patch: once(status(http.StatusInternalServerError))}, 9 * megabyte, "POST," + one + "," + chunks, ""},
		{"busy once", &uploads{patch: once(status(http.StatusTooManyRequests))}, 9 * megabyte, "POST," + one + "," + strings.TrimPrefix(chunks, "POST,"), ""},
		{"cut off once", &uploads{patch: once(drop)}, 9 * megabyte, "POST," + one + "," + chunks, ""},
		{"trouble always", &uploads{patch: status(http.StatusInternalServerError)}, 9 * megabyte, "POST," + one + ",POST," + one + ",POST," + one, "500"},
		{"not allowed", &uploads{patch: status(http.StatusForbidden)}, 9 * megabyte, "POST," + one, "403"},
		{"no place to upload to", &uploads{post: status(http.StatusAccepted)}, 9 * megabyte, "POST", "begin upload: http: no Location header in response"},
		{"to another host in clear", &uploads{post: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://registry.example/upload?signature=hunter2")
			w.WriteHeader(http.StatusAccepted)
		}}, 100, "POST", `plain http to "registry.example" refused`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := plainServer(t)
			s.push(t, "p:0", wasm("")) // so that the config is there
			u := test.uploads
			s.setAnswer(u.ServeHTTP)
			module := wasm(strings.Repeat("x", test.size))
			_, err := open(t, registry.Config{Sources: s.trusting()}).Push(t.Context(), parse(t, s.host+"/p:1"), module, nil)
			if sent := u.all(); sent != test.sent {
				t.Errorf("sent %s, want %s", sent, test.sent)
			}
			if test.want != "" {
				wantError(t, err, test.want)
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("the signed URL is in %q", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), s.host+"/p:1")
			if err != nil || !slices.Equal(got, module) {
				t.Errorf("pulled %d bytes, error %v, want the %d pushed", len(got), err, len(module))
			}
		})
	}
}

// TestPushWithoutHEAD holds that a registry which refuses to be asked whether it has a blob gets
// the blob.
func TestPushWithoutHEAD(t *testing.T) {
	t.Parallel()
	for _, refusal := range []int{http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		t.Run(http.StatusText(refusal), func(t *testing.T) {
			s := plainServer(t)
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodHead {
					w.WriteHeader(refusal)
				}
			})
			module := wasm("x")
			if _, err := open(t, registry.Config{Sources: s.trusting()}).Push(t.Context(), parse(t, s.host+"/p:1"), module, nil); err != nil {
				t.Fatal(err)
			}
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), s.host+"/p:1")
			if err != nil || !slices.Equal(got, module) {
				t.Errorf("pulled %q, error %v", got, err)
			}
		})
	}
}

// minChunk begins an upload as the in-process registry does, and asks for larger chunks.
func minChunk(size string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/v2/p/blobs/uploads/1")
		w.Header().Set("OCI-Chunk-Min-Length", size)
		w.WriteHeader(http.StatusAccepted)
	}
}

// TestPushedManifestLocation has registries that say where the manifest is now.
func TestPushedManifestLocation(t *testing.T) {
	const wrong = "72b4569c3daee67abeaa64192fb53895d0edb2d44fa6e1d9d4c5d3f8ab09f6a4"
	for _, test := range []struct {
		name, location, want string // want "": the digest
	}{
		{"none", "", ""},
		{"the digest", "/v2/p/manifests/DIGEST", ""},
		{"the digest, escaped", "https://r.io/v2/p/manifests/ESCAPED?ns=x", ""},
		{"the digest of another algorithm", "/v2/p/manifests/SHA512", ""},
		{"no path", "nowhere", "Cannot extract manifest digest from the OCI registry response: nowhere"},
		{"a tag", "/v2/p/manifests/1", "Invalid digest: 1"},
		{"an unknown algorithm", "/v2/p/manifests/sha384:" + wrong, "unknown algorithm 'sha384' for manifest sha384:" + wrong},
		{"too short", "/v2/p/manifests/sha256:72b4569c", "The digest of the returned manifest is not valid: sha256:72b4569c"},
		{"not in hex", "/v2/p/manifests/sha256:" + strings.Repeat("x", 64), "The digest of the returned manifest is not valid: sha256:xxx"},
		{"another manifest's", "/v2/p/manifests/sha256:" + wrong, `the registry stored another manifest than it was sent: got "sha256:` + wrong + `", want "sha256:`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := plainServer(t)
			client := open(t, registry.Config{Sources: s.trusting()})
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, manifests) {
					return
				}
				manifest, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				digest := sha(manifest)
				w.Header().Set("Location", strings.NewReplacer("DIGEST", digest, "ESCAPED", strings.Replace(digest, ":", "%3A", 1),
					"SHA512", sha512Of(manifest)).Replace(test.location))
				if test.location == "" {
					w.Header().Del("Location")
				}
				w.WriteHeader(http.StatusCreated)
			})
			digest, err := client.Push(t.Context(), parse(t, s.host+"/p:1"), wasm("policy"), nil)
			if test.want != "" {
				wantError(t, err, test.want)
				return
			}
			if err != nil || !strings.HasPrefix(digest.DigestStr(), "sha256:") {
				t.Errorf("got digest %q, error %v", digest, err)
			}
		})
	}
}

func sha512Of(content []byte) string {
	sum := sha512.Sum512(content)
	return "sha512:" + hex.EncodeToString(sum[:])
}
