package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"policy-server/internal/testing/guests"
	"policy-server/internal/testing/signer"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry"
)

// world is a registry that can be made to lie, a client that publishes to it, and two signers of
// whom one is trusted.
type world struct {
	host             string
	client           *registry.Client
	trusted, unknown *signer.Signer
	stop             func() // the registry

	mu    sync.Mutex
	asked []string                                                 // paths of GET requests
	lie   func(w http.ResponseWriter, r *http.Request) (told bool) // answers instead of the registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	honest := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		if r.Method == http.MethodGet {
			w.asked = append(w.asked, r.URL.Path)
		}
		lie := w.lie
		w.mu.Unlock()
		if lie == nil || !lie(writer, r) {
			honest.ServeHTTP(writer, r)
		}
	}))
	t.Cleanup(s.Close)
	w.stop = func() {
		s.CloseClientConnections()
		s.Close()
	}
	w.host = strings.TrimPrefix(s.URL, "http://")
	var err error
	if w.client, err = registry.Open(registry.Config{Sources: registry.Sources{InsecureSources: []string{w.host}}}); err != nil {
		t.Fatal(err)
	}
	if w.trusted, err = signer.New(); err != nil {
		t.Fatal(err)
	}
	if w.unknown, err = signer.New(); err != nil {
		t.Fatal(err)
	}
	return w
}

// push publishes guest as policies/POLICY:v1.
func (w *world) push(t *testing.T, policy, guest string) name.Digest {
	t.Helper()
	reference, err := registry.ParseReference(fmt.Sprintf("registry://%s/policies/%s:v1", w.host, policy))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := w.client.Push(t.Context(), reference, guests.Module(t, guest), nil)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func (w *world) sign(t *testing.T, s *signer.Signer, digest name.Digest, annotations map[string]string) {
	t.Helper()
	if err := s.Sign(t.Context(), digest, annotations, w.client.RemoteOptions(t.Context())...); err != nil {
		t.Fatal(err)
	}
}

// tell makes the registry answer with lie from now on, and forgets what it was asked before.
func (w *world) tell(lie func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.lie = nil, lie
}

// files are the server's files for one policy called p that must be signed by the trusted key.
func (w *world) files(annotation string) map[string]string {
	var annotations string
	if annotation != "" {
		annotations = "    annotations: {" + annotation + "}\n"
	}
	return map[string]string{
		"policies":          fmt.Sprintf("p: {module: 'registry://%s/policies/p:v1'}\n", w.host),
		"sources-path":      fmt.Sprintf("insecure_sources: [%q]\n", w.host),
		"verification-path": "apiVersion: v1\nallOf:\n  - kind: pubKey\n" + annotations + "    key: |\n" + indent(string(w.trusted.PublicKeyPEM())),
	}
}

func indent(text string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n      ") + "\n"
}

const pod = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u1","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","userInfo":{},"object":{"a":1}}}`

func TestSignedIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sign(t, w.trusted, w.push(t, "p", "accepts"), map[string]string{"env": "prod"})
	s := started(t, launch(t, w.files("env: prod")))
	status, body := s.post(t, "/validate/p", []byte(pod))
	if status != 200 || !strings.Contains(string(body), `"allowed":true`) {
		t.Errorf("%d %s", status, body)
	}
	s.stop(t)
}

// TestKeylessIsServed serves what a workflow signed, with a trust root given as a file, and refuses
// another's.
func TestKeylessIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	authority, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	trustConfig, err := authority.ClientTrustConfig()
	if err != nil {
		t.Fatal(err)
	}
	digest := w.push(t, "p", "accepts")
	if err := authority.SignImage(t.Context(), sigstoretest.Workflow("alice/policy"), digest, nil, w.client.RemoteOptions(t.Context())...); err != nil {
		t.Fatal(err)
	}
	files := w.files("")
	files["sigstore-trust-config"] = string(trustConfig)
	files["verification-path"] = "allOf: [{kind: githubAction, owner: bob}]"
	if output := refusedToStart(t, launch(t, files)); !strings.Contains(output, `wrong identity: got subject "https://github.com/alice/policy/`) {
		t.Errorf("for another owner:\n%s", output)
	}
	files["verification-path"] = "allOf: [{kind: githubAction, owner: alice}]"
	s := started(t, launch(t, files))
	status, body := s.post(t, "/validate/p", []byte(pod))
	if status != 200 || !strings.Contains(string(body), `"allowed":true`) {
		t.Errorf("%d %s", status, body)
	}
	if line := `signature accepted module="` + digest.Name() + `" constraint="allOf[0]" signature="bundle 0 (`; !strings.Contains(s.output.String(), line) {
		t.Errorf("output lacks %q:\n%s", line, s.output.String())
	}
	s.stop(t)
}

// TestUntrustedIsRefused holds promise 1: what is not signed as the verification config asks is
// refused, with the constraint and the reason, before its module is even fetched.
func TestUntrustedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		prepare    func(t *testing.T, w *world)
		annotation string
		want       []string
		fetched    bool // whether the module may have been downloaded (never compiled) before it was refused
	}{
		"unsigned": {
			prepare: func(t *testing.T, w *world) { w.push(t, "p", "accepts") },
			want:    []string{"Policy 'p' cannot be verified: ", "no signatures found for image: "},
		},
		"signed by another key": {
			prepare: func(t *testing.T, w *world) { w.sign(t, w.unknown, w.push(t, "p", "accepts"), nil) },
			want:    []string{"Image verification failed: missing signatures", "The following constraints were not satisfied:\nkind: pubKey", "invalid signature"},
		},
		"signed for something else": {
			prepare: func(t *testing.T, w *world) {
				w.sign(t, w.trusted, w.push(t, "p", "accepts"), map[string]string{"env": "test"})
			},
			annotation: "env: prod",
			want:       []string{"Image verification failed: missing signatures", "env: prod", `Annotation not satisfied: "env": want "prod", got "test"`},
		},
		"signature copied from another artifact": {
			prepare: func(t *testing.T, w *world) {
				other, ours := w.push(t, "p", "rejects"), w.push(t, "p", "accepts")
				w.sign(t, w.trusted, other, nil)
				w.copySignature(t, other, ours)
			},
			want: []string{"Image verification failed: missing signatures", "payload is for another digest"},
		},
		"tag moved after signing": {
			prepare: func(t *testing.T, w *world) {
				w.sign(t, w.trusted, w.push(t, "p", "accepts"), nil)
				w.push(t, "p", "rejects")
			},
			want: []string{"no signatures found for image: "},
		},
		"manifest swapped": {
			prepare: func(t *testing.T, w *world) {
				digest := w.push(t, "p", "accepts")
				w.sign(t, w.trusted, digest, nil)
				other := w.manifest(t, w.push(t, "other", "rejects"))
				w.tell(func(writer http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, "/manifests/v1") && !strings.HasSuffix(r.URL.Path, "/manifests/"+digest.DigestStr()) {
						return false
					}
					// The digest it claims is the signed one.
					writer.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
					writer.Header().Set("Docker-Content-Digest", digest.DigestStr())
					_, _ = writer.Write(other)
					return true
				})
			},
			want: []string{"Error while downloading policy 'p'", "digest"},
		},
		"layer swapped": {
			prepare: func(t *testing.T, w *world) {
				w.sign(t, w.trusted, w.push(t, "p", "accepts"), nil)
				signed, evil := fmt.Sprintf("sha256:%x", sha256.Sum256(guests.Module(t, "accepts"))), guests.Module(t, "rejects")
				w.tell(func(writer http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, "/blobs/"+signed) {
						return false
					}
					_, _ = writer.Write(evil)
					return true
				})
			},
			want:    []string{"Error while downloading policy 'p'", "igest"},
			fetched: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.prepare(t, w)
			if w.lie == nil {
				w.tell(nil)
			}
			output := refusedToStart(t, launch(t, w.files(c.annotation)))
			for _, want := range c.want {
				if !strings.Contains(output, want) {
					t.Errorf("output lacks %q:\n%s", want, output)
				}
			}
			for _, path := range w.asked {
				if strings.Contains(path, "/policies/p/blobs/"+fmt.Sprintf("sha256:%x", sha256.Sum256(guests.Module(t, "accepts")))) && !c.fetched {
					t.Errorf("%s was fetched before verification", path)
				}
			}
		})
	}
}

// TestTagMovesWhileLoading moves the tag right after it was resolved: what was verified then is
// what runs.
func TestTagMovesWhileLoading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push(t, "p", "accepts")
	w.sign(t, w.trusted, first, nil)
	moved := false
	w.tell(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".sig") && !moved { // the signatures are looked up: the tag has been resolved
			moved = true
			w.lieNoMore()
			w.push(t, "p", "rejects")
		}
		return false
	})
	s := started(t, launch(t, w.files("")))
	status, body := s.post(t, "/validate/p", []byte(pod))
	if !moved || status != 200 || !strings.Contains(string(body), `"allowed":true`) {
		t.Errorf("moved %t: %d %s", moved, status, body)
	}
	s.stop(t)
}

func (w *world) lieNoMore() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lie = nil
}

// copySignature makes the signatures of from appear as those of to.
func (w *world) copySignature(t *testing.T, from, to name.Digest) {
	t.Helper()
	options := w.client.RemoteOptions(t.Context())
	image, err := remote.Image(signatureTag(from), options...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(signatureTag(to), image, options...); err != nil {
		t.Fatal(err)
	}
}

func signatureTag(digest name.Digest) name.Tag {
	hash, err := v1.NewHash(digest.DigestStr())
	if err != nil {
		panic(err) // a digest that was pushed
	}
	return digest.Context().Tag(fmt.Sprintf("%s-%s.sig", hash.Algorithm, hash.Hex))
}

// manifest returns the bytes of a manifest.
func (w *world) manifest(t *testing.T, digest name.Digest) []byte {
	t.Helper()
	descriptor, err := remote.Get(digest, w.client.RemoteOptions(context.Background())...)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(descriptor.Manifest)
}

func TestBadVerificationConfigStopsTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push(t, "p", "accepts")
	for name, c := range map[string]struct{ config, want string }{
		"not YAML":         {"allOf: [", "error while loading verification config from "},
		"nothing asked":    {"apiVersion: v1\n", "config is missing signatures in both allOf and anyOff list"},
		"an empty file":    {"", "config is missing signatures in both allOf and anyOff list"},
		"a typing mistake": {"apiVersion: v1\nallOff: []\n", "Not a valid configuration file: "},
		"keyless":          {"apiVersion: v1\nallOf:\n  - {kind: githubAction, owner: acme}\n", "Error building Sigstore trust root: Cannot create directory to cache sigstore data: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := w.files("")
			files["verification-path"] = c.config
			files["sigstore-cache-dir"] = "a file, so that no trust root can be fetched"
			if output := refusedToStart(t, launch(t, files)); !strings.Contains(output, c.want) {
				t.Errorf("output lacks %q:\n%s", c.want, output)
			}
		})
	}
}
