package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"policy-server/registry/verify"
)

// A layer that cannot be a signature is passed over with a reason, whether or not a good one lies
// beside it.
func TestBrokenLayersAreSkipped(t *testing.T) {
	alice := newSigner(t)
	good := key(t, alice, nil)
	cases := []struct {
		name   string
		attach func(t *testing.T, r *registryServer, d name.Digest)
		reason string
	}{{
		name: "other media type",
		attach: func(t *testing.T, _ *registryServer, d name.Digest) {
			payload := payloadFor(t, d, nil)
			attachSigned(t, d, forged(t, alice, payload, payload, static.WithLayerMediaType(types.OCILayer)))
		},
		reason: `layer of media type "application/vnd.oci.image.layer.v1.tar+gzip"`,
	}, {
		name: "no signature",
		attach: func(t *testing.T, r *registryServer, d name.Digest) {
			attach(t, alice, d, payloadFor(t, d, annotations{"to": "break"}))
			edit(t, r, d, func(m *v1.Manifest) { m.Layers[0].Annotations = nil })
		},
		reason: `layer without annotation "dev.cosignproject.cosign/signature"`,
	}, {
		name: "signature that is no base64",
		attach: func(t *testing.T, r *registryServer, d name.Digest) {
			attach(t, alice, d, payloadFor(t, d, annotations{"to": "break"}))
			edit(t, r, d, func(m *v1.Manifest) { m.Layers[0].Annotations[static.SignatureAnnotationKey] = "*" })
		},
		reason: "illegal base64 data",
	}, {
		name: "payload too large, and it says so",
		attach: func(t *testing.T, _ *registryServer, d name.Digest) {
			attach(t, alice, d, bytes.Repeat([]byte(" "), 1<<20+1))
		},
		reason: "payload of 1048577 bytes, more than the limit of 1048576",
	}, {
		name: "payload too large, but it says small",
		attach: func(t *testing.T, r *registryServer, d name.Digest) {
			attach(t, alice, d, bytes.Repeat([]byte(" "), 1<<20+1))
			edit(t, r, d, func(m *v1.Manifest) { m.Layers[0].Size = 1 })
		},
		reason: "payload: more than the limit of 1048576 bytes",
	}, {
		name: "payload missing from the registry",
		attach: func(t *testing.T, r *registryServer, d name.Digest) {
			payload := payloadFor(t, d, annotations{"to": "break"})
			attach(t, alice, d, payload)
			r.answer = failing("/blobs/"+hashOf(t, payload).String(), http.StatusNotFound, "")
		},
		reason: "payload: GET",
	}}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRegistry(t)
			d := r.push(t)
			tc.attach(t, r, d)
			_, err := newVerifier(t, r, allOf(good)).Verify(t.Context(), d)
			var unverified *verify.UnverifiedError
			if !errors.As(err, &unverified) || !strings.Contains(err.Error(), tc.reason) {
				t.Errorf("alone: got %v, want an UnverifiedError with %q", err, tc.reason)
			}

			// The registry must accept the second signature although the first one is broken.
			beside := r.push(t)
			sign(t, alice, beside, nil)
			edit(t, r, beside, func(m *v1.Manifest) { m.Layers = append(layersOf(t, d), m.Layers...) })
			if _, err := newVerifier(t, r, allOf(good)).Verify(t.Context(), beside); err != nil {
				t.Errorf("beside a good signature: %v", err)
			}
		})
	}
}

// What is not known is not "unsigned": a lookup that failed says so and keeps its reason.
func TestLookupErrors(t *testing.T) {
	alice := newSigner(t)
	cases := []struct {
		name   string
		damage func(t *testing.T, r *registryServer, d name.Digest)
		want   string
	}{{
		name: "manifest: 500",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = failing("/manifests/", http.StatusInternalServerError, "")
		},
		want: "500 Internal Server Error",
	}, {
		name: "manifest: 401",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = failing("/manifests/", http.StatusUnauthorized,
				`{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`)
		},
		want: "UNAUTHORIZED: who are you",
	}, {
		name: "manifest: 403",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = failing("/manifests/", http.StatusForbidden, `{"errors":[{"code":"DENIED","message":"not yours"}]}`)
		},
		want: "DENIED: not yours",
	}, {
		name: "not a registry",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = failing("/", http.StatusNotFound, "no such page")
		},
		want: "404 Not Found",
	}, {
		name: "payload: 500",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = failing("/blobs/", http.StatusInternalServerError, "")
		},
		want: "500 Internal Server Error",
	}, {
		name: "payload: other bytes than the digest names",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = failing("/blobs/", http.StatusOK, "tampered")
		},
		want: "error verifying sha256 checksum",
	}, {
		name: "manifest is an index",
		damage: func(t *testing.T, r *registryServer, d name.Digest) {
			r.put(t, d, types.OCIImageIndex, []byte(`{"schemaVersion":2,"manifests":[]}`))
		},
		want: `media type "application/vnd.oci.image.index.v1+json"`,
	}, {
		name: "manifest is an index inside",
		damage: func(t *testing.T, r *registryServer, d name.Digest) {
			r.put(t, d, types.OCIManifestSchema1, []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json"}`))
		},
		want: `mediaType: "application/vnd.oci.image.index.v1+json"`,
	}, {
		name: "manifest is no JSON",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = serving(types.OCIManifestSchema1, "hello")
		},
		want: "invalid character",
	}, {
		name: "manifest too large",
		damage: func(_ *testing.T, r *registryServer, _ name.Digest) {
			r.answer = serving(types.OCIManifestSchema1, strings.Repeat(" ", 4<<20+1))
		},
		want: "4194305 bytes, more than the limit of 4194304",
	}, {
		name: "too many signatures",
		damage: func(t *testing.T, r *registryServer, d name.Digest) {
			edit(t, r, d, func(m *v1.Manifest) {
				for len(m.Layers) <= 64 {
					m.Layers = append(m.Layers, m.Layers[0])
				}
			})
		},
		want: "65 signatures, more than the limit of 64",
	}}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRegistry(t)
			d := r.push(t)
			sign(t, alice, d, nil)
			tc.damage(t, r, d)
			got, err := newVerifier(t, r, allOf(key(t, alice, nil))).Verify(t.Context(), d)
			var lookup *verify.LookupError
			if !errors.As(err, &lookup) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %T: %v, want a LookupError with %q", err, err, tc.want)
			}
			if got.Vouched() || lookup.Digest != d || !strings.Contains(lookup.Hint(), r.host) {
				t.Errorf("got %v, %v, hint %q", got, lookup.Digest, lookup.Hint())
			}
		})
	}
	t.Run("no digest", func(t *testing.T) {
		_, err := newVerifier(t, newRegistry(t), allOf(key(t, alice, nil))).Verify(t.Context(), name.Digest{})
		var lookup *verify.LookupError
		if !errors.As(err, &lookup) {
			t.Errorf("got %T: %v", err, err)
		}
	})
	t.Run("the registry's answer stays visible", func(t *testing.T) {
		r := newRegistry(t)
		d := r.push(t)
		r.answer = failing("/manifests/", http.StatusTooManyRequests, "")
		_, err := newVerifier(t, r, allOf(key(t, alice, nil))).Verify(t.Context(), d)
		var answer *transport.Error
		if !errors.As(err, &answer) || answer.StatusCode != http.StatusTooManyRequests {
			t.Errorf("got %v", err)
		}
	})
}

// Registries say in several ways that there is no such tag.
func TestNotFoundIsUnsigned(t *testing.T) {
	alice := newSigner(t)
	cases := []struct {
		name   string
		status int
		body   string
	}{
		{"404 without a body", http.StatusNotFound, ""},
		{"404 with a page", http.StatusNotFound, "<html>"},
		{"manifest unknown", http.StatusNotFound, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`},
		{"manifest unknown as a bad request", http.StatusBadRequest, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`},
		{"name unknown as a bad request", http.StatusBadRequest, `{"errors":[{"code":"NAME_UNKNOWN"}]}`},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := newRegistry(t)
			d := r.push(t)
			r.answer = failing("/manifests/", tc.status, tc.body)
			_, err := newVerifier(t, r, allOf(key(t, alice, nil))).Verify(t.Context(), d)
			var unverified *verify.UnverifiedError
			if !errors.As(err, &unverified) || !strings.Contains(err.Error(), "no signatures found for image: "+d.Name()) {
				t.Errorf("got %T: %v", err, err)
			}
		})
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	alice := newSigner(t)
	for _, path := range []string{"/v2/", "/manifests/", "/referrers/", "/blobs/"} {
		t.Run("hangs at "+path, func(t *testing.T) {
			r := newRegistry(t)
			d := r.push(t)
			if path != "/referrers/" { // else the signature in the other place would do
				sign(t, alice, d, nil)
			}
			released := make(chan struct{})
			defer close(released)
			r.answer = func(_ http.ResponseWriter, req *http.Request) bool {
				if strings.Contains(req.URL.Path, path) {
					<-released
				}
				return false
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := newVerifier(t, r, allOf(key(t, alice, nil))).Verify(ctx, d)
			var lookup *verify.LookupError
			if !errors.As(err, &lookup) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %T: %v, want the context's error in a LookupError", err, err)
			}
		})
	}
}

// Keys need no trust root: neither TUF, nor a log, nor anybody but the registry is asked, also when
// a log entry and other places to fetch from are on offer.
func TestVerifyReachesOnlyTheRegistry(t *testing.T) {
	alice := newSigner(t)
	r := newRegistry(t)
	d := r.push(t)
	sign(t, alice, d, nil)
	edit(t, r, d, func(m *v1.Manifest) {
		m.Layers[0].URLs = []string{"https://elsewhere.example/payload"}
		m.Layers[0].Annotations[static.BundleAnnotationKey] = `{"Payload":{"logID":"00"}}`
	})
	unsigned := r.push(t)
	tufCache := t.TempDir()
	t.Setenv("TUF_ROOT", tufCache)

	lookups, others := &recorder{}, &recorder{}
	original := http.DefaultTransport
	lookups.next = original
	http.DefaultTransport = others
	defer func() { http.DefaultTransport = original }()

	v, err := verify.New(allOf(key(t, alice, nil)), verify.Options{Remote: func(ctx context.Context) []remote.Option {
		return append(r.options(ctx), remote.WithTransport(lookups))
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), d); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), unsigned); err == nil {
		t.Error("verified what nobody signed")
	}
	if len(others.requests) > 0 {
		t.Errorf("requests past the given transport: %q", others.requests)
	}
	var want []string
	for _, digest := range []name.Digest{d, unsigned} {
		want = append(want, "/v2/policy/manifests/"+signatureTag(digest).TagStr(), "/v2/policy/referrers/"+digest.DigestStr(),
			"/v2/policy/manifests/"+strings.TrimSuffix(signatureTag(digest).TagStr(), ".sig"))
	}
	want = append(want, "/v2/policy/blobs/"+hashOf(t, payloadFor(t, d, nil)).String())
	var got []string
	for _, request := range lookups.requests {
		path, ok := strings.CutPrefix(request, "http://"+r.host)
		switch {
		case strings.HasSuffix(request, "//"+r.host+"/v2/"): // the library asks whether and how to log in
		case ok:
			got = append(got, path)
		default:
			t.Errorf("request past the registry: %s", request)
		}
	}
	slices.Sort(got) // both places are asked at once
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("requests:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if files, err := os.ReadDir(tufCache); err != nil || len(files) > 0 {
		t.Errorf("TUF cache holds %v, %v", files, err)
	}
}

// recorder notes requests; without next it answers none.
type recorder struct {
	next http.RoundTripper

	mu       sync.Mutex
	requests []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.requests = append(r.requests, req.URL.String())
	r.mu.Unlock()
	if r.next == nil {
		return nil, fmt.Errorf("no request to %s was expected", req.URL.Host)
	}
	return r.next.RoundTrip(req)
}

// edit rewrites the signature manifest of d.
func edit(t *testing.T, r *registryServer, d name.Digest, change func(*v1.Manifest)) {
	t.Helper()
	got, err := remote.Get(signatureTag(d))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(got.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	change(manifest)
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	r.put(t, d, got.MediaType, raw)
}

func layersOf(t *testing.T, d name.Digest) []v1.Descriptor {
	t.Helper()
	got, err := remote.Get(signatureTag(d))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(got.Manifest))
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Layers
}

func hashOf(t testing.TB, content []byte) v1.Hash {
	t.Helper()
	hash, _, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}
