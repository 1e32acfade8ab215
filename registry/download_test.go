package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"policy-server/registry"
)

const (
	blobs     = "/blobs/"
	manifests = "/manifests/"
)

// large is a module that does not fit into one packet.
func large() []byte { return wasm(strings.Repeat("0123456789abcdef", 1<<12)) }

// script answers the requests below a path one by one, the last handler also those after it. A nil
// handler leaves the answer to the registry.
type script struct {
	path  string
	steps []http.HandlerFunc

	mu     sync.Mutex
	ranges []string // what each request asked for
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.URL.Path, s.path) || r.Method != http.MethodGet {
		return
	}
	s.mu.Lock()
	step := s.steps[min(len(s.ranges), len(s.steps)-1)]
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	s.mu.Unlock()
	if step != nil {
		step(w, r)
	}
}

func (s *script) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ranges)
}

// serve answers with content, or the range of it that is asked for.
func serve(content []byte, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if tag != "" {
			w.Header().Set("ETag", tag)
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}

// cut breaks the connection off after n bytes of what next answers.
func cut(n int, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { next(&cutter{ResponseWriter: w, left: n}, r) }
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) < c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// part answers 206 with any bytes under any Content-Range.
func part(contentRange string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", contentRange)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content)
	}
}

func status(code int, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		http.Error(w, "scripted", code)
	}
}

// drop closes the connection without an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// unannounced answers with content whose length nobody says beforehand.
func unannounced(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(content)
	}
}

func TestLayerDownloads(t *testing.T) {
	module := large()
	size := len(module)
	whole, evil := serve(module, ""), serve(wasm(strings.Repeat("evil evil evil!!", 1<<12)), "")
	rest := func(from int) string { return fmt.Sprintf("bytes=%d-%d", from, size-1) }
	contentRange := func(from, total int) string { return fmt.Sprintf("bytes %d-%d/%d", from, total-1, total) }
	for _, test := range []struct {
		name  string
		steps []http.HandlerFunc
		asked []string // the Range headers of the requests
		want  string   // part of the error; empty: the module
	}{
		{"in one piece", []http.HandlerFunc{whole}, []string{""}, ""},
		{"length not announced", []http.HandlerFunc{unannounced(module)}, []string{""}, ""},
		{"cut off once", []http.HandlerFunc{cut(1000, whole), whole}, []string{"", rest(1000)}, ""},
		{"cut off once, by the registry itself", []http.HandlerFunc{cut(1000, whole), nil}, []string{"", rest(1000)}, ""},
		{"cut off twice", []http.HandlerFunc{cut(1000, whole), cut(500, whole), whole}, []string{"", rest(1000), rest(1500)}, ""},
		{"cut off always", []http.HandlerFunc{cut(1000, whole)}, []string{"", rest(1000), rest(2000)}, "the connection was cut off after 3000 bytes"},
		{"cut off behind the last byte", []http.HandlerFunc{cut(size, unannounced(module))}, []string{""}, ""},
		{"cut off before the first byte", []http.HandlerFunc{drop, whole}, []string{"", ""}, ""},
		{"cut off while asked for the rest", []http.HandlerFunc{cut(1000, whole), drop, whole}, []string{"", rest(1000), rest(1000)}, ""},
		{"ranges ignored", []http.HandlerFunc{cut(1000, whole), unannounced(module)}, []string{"", rest(1000)}, ""},
		{"ranges ignored, cut off always", []http.HandlerFunc{cut(1000, unannounced(module))}, []string{"", rest(1000), rest(1000)}, "cut off after 1000 bytes"},
		{"ranges refused", []http.HandlerFunc{cut(1000, whole), status(http.StatusRequestedRangeNotSatisfiable), whole}, []string{"", rest(1000), ""}, ""},
		{"another range", []http.HandlerFunc{cut(1000, whole), part(contentRange(999, size), module[999:]), whole}, []string{"", rest(1000), ""}, ""},
		{"another size", []http.HandlerFunc{cut(1000, whole), part(contentRange(1000, size+1), module[1000:]), whole}, []string{"", rest(1000), ""}, ""},
		{"no range", []http.HandlerFunc{cut(1000, whole), part("", module[1000:]), whole}, []string{"", rest(1000), ""}, ""},
		{"size not said", []http.HandlerFunc{cut(1000, whole), part(fmt.Sprintf("bytes 1000-%d/*", size-1), module[1000:])}, []string{"", rest(1000)}, ""},
		{"less than the rest", []http.HandlerFunc{cut(1000, whole), part(fmt.Sprintf("bytes 1000-1999/%d", size), module[1000:2000]), whole},
			[]string{"", rest(1000), rest(2000)}, ""},
		{"rest of another layer", []http.HandlerFunc{cut(1000, whole), evil}, []string{"", rest(1000)}, "Invalid digest. Expected sha256:"},
		{"more than the rest", []http.HandlerFunc{cut(1000, whole), part(contentRange(1000, size), append(module[1000:], 0))}, []string{"", rest(1000)}, "Invalid digest. Expected sha256:"},
		{"another layer", []http.HandlerFunc{evil}, []string{""}, "Invalid digest. Expected sha256:"},
		{"without end", []http.HandlerFunc{endless}, []string{""}, "Invalid digest. Expected sha256:"},
		{"gone while asked for the rest", []http.HandlerFunc{cut(1000, whole), status(http.StatusNotFound)}, []string{"", rest(1000)}, "404"},
		{"a part nobody asked for", []http.HandlerFunc{part(contentRange(0, size), module)}, []string{""}, "206"},
	} {
		for protocol, start := range map[string]func(*testing.T) *server{"HTTP/1.1": plainServer, "HTTP/2.0": http2Server} {
			t.Run(test.name+", "+protocol, func(t *testing.T) {
				s := start(t)
				s.push(t, "p:1", module)
				steps := &script{path: blobs, steps: test.steps}
				s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
					if r.Proto != protocol {
						t.Errorf("asked by %s, want %s", r.Proto, protocol)
					}
					steps.ServeHTTP(w, r)
				})
				got, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), s.host+"/p:1")
				if test.want != "" {
					wantError(t, err, test.want)
				} else {
					wantModule(t, got, err, module)
				}
				if asked := steps.asked(); !slices.Equal(asked, test.asked) {
					t.Errorf("asked for ranges %q, want %q", asked, test.asked)
				}
			})
		}
	}
}

// TestManifestDownloads has manifests that are cut off: nothing of the first answer is kept for the
// second one.
func TestManifestDownloads(t *testing.T) {
	manifest := []byte(manifestJSON(layerJSON(layerType, wasm("policy"))) + strings.Repeat(" ", 5000))
	whole := serve(manifest, `"1"`)
	for _, test := range []struct {
		name  string
		steps []http.HandlerFunc
		asked []string
		want  string
	}{
		{"cut off once", []http.HandlerFunc{cut(1000, whole), whole}, []string{"", ""}, ""},
		{"cut off once, then another one", []http.HandlerFunc{cut(1000, serve(bytes.Repeat([]byte("x"), 5000), `"1"`)), whole}, []string{"", ""}, ""},
		{"cut off always", []http.HandlerFunc{cut(1000, whole)}, []string{"", "", ""}, "the connection was cut off after 1000 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := plainServer(t)
			s.push(t, "p:1", wasm("policy"))
			steps := &script{path: manifests, steps: test.steps}
			s.setAnswer(steps.ServeHTTP)
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), s.host+"/p:1")
			if test.want != "" {
				wantError(t, err, test.want)
			} else {
				wantModule(t, got, err, wasm("policy"))
			}
			if asked := steps.asked(); !slices.Equal(asked, test.asked) {
				t.Errorf("asked for ranges %q, want %q", asked, test.asked)
			}
		})
	}
}

// endless writes until its client has had enough.
func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

// TestPlainDownloads holds that two halves of different modules are never put together, where no
// digest would tell.
func TestPlainDownloads(t *testing.T) {
	module := large()
	changed := wasm(strings.Repeat("fedcba9876543210", 1<<12))
	const first, second = `"1"`, `"2"`
	for _, test := range []struct {
		name  string
		steps []http.HandlerFunc
		asked []string
		want  []byte // nil: cut off for good
	}{
		{"in one piece", []http.HandlerFunc{serve(module, first)}, []string{""}, module},
		{"cut off once", []http.HandlerFunc{cut(1000, serve(module, first)), serve(module, first)}, []string{"", "bytes=1000-65543"}, module},
		{"cut off, length not announced", []http.HandlerFunc{cut(1000, unannounced(module)), serve(module, first)}, []string{"", ""}, module},
		{"changed meanwhile", []http.HandlerFunc{cut(1000, serve(module, first)), serve(changed, second)}, []string{"", "bytes=1000-65543"}, changed},
		{"changed, and the condition ignored", []http.HandlerFunc{cut(1000, serve(module, first)),
			func(w http.ResponseWriter, r *http.Request) { r.Header.Del("If-Range"); serve(changed, second)(w, r) }, serve(changed, second)},
			[]string{"", "bytes=1000-65543", ""}, changed},
		{"no tag", []http.HandlerFunc{cut(1000, serve(module, "")), serve(changed, "")}, []string{"", ""}, changed},
		{"weak tag", []http.HandlerFunc{cut(1000, serve(module, `W/"1"`)), serve(changed, `W/"1"`)}, []string{"", ""}, changed},
		{"cut off always", []http.HandlerFunc{cut(1000, serve(module, first))}, []string{"", "bytes=1000-65543", "bytes=2000-65543"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := tlsServer(t)
			steps := &script{path: "/p.wasm", steps: test.steps}
			s.setAnswer(steps.ServeHTTP)
			got, err := pull(t, open(t, registry.Config{Sources: s.trusting()}), "https://"+s.host+"/p.wasm")
			if test.want == nil {
				wantError(t, err, "the connection was cut off after 3000 bytes")
			} else {
				wantModule(t, got, err, test.want)
			}
			if asked := steps.asked(); !slices.Equal(asked, test.asked) {
				t.Errorf("asked for ranges %q, want %q", asked, test.asked)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	module := large()
	s := plainServer(t)
	s.push(t, "p:1", module)
	steps := &script{path: blobs, steps: []http.HandlerFunc{cut(1000, serve(module, "")), serve(module, "")}}
	s.setAnswer(steps.ServeHTTP)
	client := open(t, registry.Config{Sources: s.trusting()})
	artifact, err := client.Fetch(t.Context(), parse(t, s.host+"/p:1"))
	if err != nil {
		t.Fatal(err)
	}
	var before int64
	ctx := registry.WithProgress(t.Context(), func(done, total int64) {
		if done < before || total != int64(len(module)) {
			t.Errorf("%d of %d bytes after %d, want more of %d", done, total, before, len(module))
		}
		before = done
	})
	got, err := artifact.Module(ctx, registry.AllowUnsignedUnsafe(artifact.Digest))
	wantModule(t, got, err, module)
	if before != int64(len(module)) {
		t.Errorf("the last progress was %d bytes, want all %d", before, len(module))
	}
}

// TestConcurrentPulls has many callers pull one module into one store, from one process and from
// two clients that know nothing of each other, as two processes do.
func TestConcurrentPulls(t *testing.T) {
	module := large()
	for _, clients := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d clients", clients), func(t *testing.T) {
			s, dir := plainServer(t), t.TempDir()
			s.push(t, "p:1", module)
			var all sync.WaitGroup
			for range clients {
				client := open(t, registry.Config{Sources: s.trusting(), StoreDir: dir})
				for range 8 {
					all.Go(func() {
						got, err := pull(t, client, s.host+"/p:1")
						if err != nil || !bytes.Equal(got, module) {
							t.Errorf("got %d bytes, error %v", len(got), err)
						}
						clear(got) // each caller owns what it gets
					})
				}
			}
			all.Wait()
			wantFile(t, registry.NewStore(dir).Path(parse(t, s.host+"/p:1")), module)
			if n := s.count(http.MethodGet, blobs); n < 1 || n > clients {
				t.Errorf("the module was downloaded %d times by %d clients", n, clients)
			}
		})
	}
}

func TestOversizedContent(t *testing.T) {
	module := wasm("policy")
	manifest := []byte(manifestJSON(layerJSON(layerType, module)) + strings.Repeat(" ", 5000))
	for _, test := range []struct {
		name, path string
		answer     http.HandlerFunc
		want       string
	}{
		{"manifest, announced", manifests, serve(manifest, ""), "manifest is larger than the limit of 5000 bytes"},
		{"manifest, not announced", manifests, unannounced(manifest), "manifest is larger than the limit of 5000 bytes"},
		{"manifest without end", manifests, endless, "manifest is larger than the limit of 5000 bytes"},
		{"layer, announced by its manifest", manifests, serve([]byte(manifestJSON(layerJSON(layerType, make([]byte, 1001)))), ""), "module is larger than the limit of 1000 bytes"},
		{"layer, longer than its manifest says", blobs, unannounced(make([]byte, 1001)), "Invalid digest. Expected sha256:"},
		{"layer without end", blobs, endless, "Invalid digest. Expected sha256:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := plainServer(t)
			s.push(t, "p:1", module)
			steps := &script{path: test.path, steps: []http.HandlerFunc{test.answer}}
			s.setAnswer(steps.ServeHTTP)
			_, err := pull(t, open(t, registry.Config{Sources: s.trusting(), MaxModuleBytes: 1000, MaxManifestBytes: 5000}), s.host+"/p:1")
			wantError(t, err, test.want)
			if n := len(steps.asked()); n != 1 {
				t.Errorf("asked %d times, want once", n)
			}
			var failed *registry.FetchError
			if large := new(registry.TooLargeError); errors.As(err, &large) && (!errors.As(err, &failed) || !strings.Contains(failed.Hint(), "raise the limit")) {
				t.Errorf("got error %v without a hint", err)
			}
		})
	}
}
