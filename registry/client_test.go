package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/registry"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
	layerType = "application/vnd.wasm.content.layer.v1+wasm"
)

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// layerJSON is a descriptor of the module in a manifest.
func layerJSON(mediaType string, module []byte) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, sha(module), len(module))
}

func manifestJSON(layers ...string) string {
	return `{"schemaVersion":2,"layers":[` + strings.Join(layers, ",") + `]}`
}

func TestFetchResolvesTheTagOnce(t *testing.T) {
	s := plainServer(t)
	digest := s.push(t, "p:1", wasm("policy"))
	client := open(t, registry.Config{Sources: s.trusting()})
	for _, text := range []string{s.host + "/p:1", s.host + "/p@" + digest.DigestStr(), s.host + "/p:gone@" + digest.DigestStr()} {
		artifact, err := client.Fetch(t.Context(), parse(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if artifact.Digest.Name() != digest.Name() || !artifact.HasDigest() {
			t.Errorf("%s: got digest %q, want %q", text, artifact.Digest, digest)
		}
		if got, err := client.Digest(t.Context(), parse(t, text)); err != nil || got.Name() != digest.Name() {
			t.Errorf("%s: got digest %q, error %v, want %q", text, got, err, digest)
		}
	}
	if n := s.count(http.MethodGet, "/blobs/"); n != 0 {
		t.Errorf("%d blobs were read", n)
	}
}

func TestFetchManifests(t *testing.T) {
	module := wasm("policy")
	for _, test := range []struct {
		name, mediaType, manifest, want string
	}{
		{"as pushed", imageType, manifestJSON(layerJSON(layerType, module)), ""},
		{"CNCF artifact", imageType, manifestJSON(layerJSON("application/wasm", module)), ""},
		{"CNCF artifact with its config", imageType, strings.Replace(manifestJSON(layerJSON("application/wasm", module)), "{",
			`{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:`+strings.Repeat("0", 64)+`","size":2},`, 1), ""},
		{"OCI 1.1 artifact", imageType, strings.Replace(manifestJSON(layerJSON(layerType, module)), "{",
			`{"artifactType":"application/vnd.wasm.content.layer.v1+wasm","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},`, 1), ""},
		{"Docker type inside", imageType, strings.Replace(manifestJSON(layerJSON(layerType, module)), "{", `{"mediaType":"application/vnd.docker.distribution.manifest.v2+json",`, 1), ""},
		{"no layers", imageType, manifestJSON(), "Fail to interact with OCI registry: No layers to pull"},
		{"other layer", imageType, manifestJSON(layerJSON("application/vnd.oci.image.layer.v1.tar+gzip", module)),
			"Fail to interact with OCI registry: Incompatible layer media type: application/vnd.oci.image.layer.v1.tar+gzip"},
		{"two layers", imageType, manifestJSON(layerJSON(layerType, module), layerJSON(layerType, wasm("other"))),
			"Cannot verify local file integrity, the remote manifest doesn't have only one WASM layer"},
		{"SHA-512 layer", imageType, `{"schemaVersion":2,"layers":[{"mediaType":"` + layerType + `","digest":"sha512:00","size":1}]}`,
			"The checksum inside of the remote manifest is not using the sha256 hashing algorithm as expected."},
		{"broken layer digest", imageType, `{"schemaVersion":2,"layers":[{"mediaType":"` + layerType + `","digest":"sha256:../x","size":1}]}`,
			"manifest: layer: "},
		{"negative size", imageType, strings.Replace(manifestJSON(layerJSON(layerType, module)), `"size":`, `"size":-`, 1), "is negative"},
		{"schema version 1", imageType, `{"schemaVersion":1}`, "Unsupported schema version: 1"},
		{"unknown type inside", imageType, `{"schemaVersion":2,"mediaType":"text/plain"}`, "Unsupported media type: text/plain"},
		{"both image and index", imageType, `{"schemaVersion":2,"layers":[` + layerJSON(layerType, module) + `],"manifests":[` + layerJSON(imageType, module) + `]}`,
			"both layers and manifests are present"},
		{"not JSON", imageType, "<html>", "manifest: "},
		{"module above the limit", imageType, manifestJSON(layerJSON(layerType, make([]byte, 1001))), "module is larger than the limit of 1000 bytes"},
		{"manifest above the limit", imageType, manifestJSON(layerJSON(layerType, module)) + strings.Repeat(" ", 5000), "manifest is larger than the limit of 5000 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := plainServer(t)
			s.push(t, "p:layer", module)
			s.put(t, "p:1", test.mediaType, []byte(test.manifest))
			client := open(t, registry.Config{Sources: s.trusting(), MaxModuleBytes: 1000, MaxManifestBytes: 5000})
			got, err := pull(t, client, s.host+"/p:1")
			if test.want == "" {
				wantModule(t, got, err, module)
				return
			}
			wantError(t, err, test.want)
			if n := s.count(http.MethodGet, "/blobs/"); n != 0 {
				t.Errorf("%d blobs were read", n)
			}
		})
	}
}

func TestFetchIndex(t *testing.T) {
	const here, elsewhere = goruntime.GOOS + "/" + goruntime.GOARCH, "plan9/mips"
	entry := func(mediaType, digest, platform string) string {
		os, architecture, _ := strings.Cut(platform, "/")
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":%q,"architecture":%q}}`, mediaType, digest, os, architecture)
	}
	index := func(entries ...string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[` + strings.Join(entries, ",") + `]}`)
	}
	s := plainServer(t)
	policy, other := s.push(t, "p:policy", wasm("policy")), s.push(t, "p:other", wasm("other"))
	mine, theirs := entry(imageType, policy.DigestStr(), here), entry(imageType, other.DigestStr(), elsewhere)
	s.put(t, "p:inner", indexType, index(mine))
	for _, test := range []struct {
		name  string
		index []byte
		want  string
	}{
		{"this platform", index(theirs, mine), ""},
		{"type from its fields only", []byte(strings.Replace(string(index(theirs, mine)), `"mediaType":"`+indexType+`",`, "", 1)), ""},
		{"other platforms", index(theirs), "Image manifest not found: no entry found in image index manifest matching client's default platform"},
		{"no entries", index(), "Image manifest not found: "},
		{"index inside", index(entry(indexType, sha(index(mine)), here)), "is an index itself"},
		{"entry without digest", index(entry(imageType, "x", here)), "manifest: index entry: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/manifests/index") {
					w.Header().Set("Content-Type", indexType)
					_, _ = w.Write(test.index)
				}
			})
			artifact, err := open(t, registry.Config{Sources: s.trusting()}).Fetch(t.Context(), parse(t, s.host+"/p:index"))
			if test.want != "" {
				wantError(t, err, test.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if artifact.Digest.DigestStr() != sha(test.index) {
				t.Errorf("got digest %q, want the index's own %q", artifact.Digest, sha(test.index))
			}
			got, err := artifact.Module(t.Context(), registry.AllowUnsignedUnsafe(artifact.Digest))
			wantModule(t, got, err, wasm("policy"))
		})
	}
}

// TestDigestIsThatOfTheBytes has a registry that passes another manifest off as the one asked for.
func TestDigestIsThatOfTheBytes(t *testing.T) {
	s := plainServer(t)
	signed := s.push(t, "p:1", wasm("policy"))
	s.push(t, "p:evil", wasm("evil"))
	evil := []byte(manifestJSON(layerJSON(layerType, wasm("evil"))))
	for _, test := range []struct {
		name, text, contentType, header, want string
	}{
		{"by digest", s.host + "/p@" + signed.DigestStr(), imageType, sha(evil), "Invalid digest. Expected " + signed.DigestStr() + ", got " + sha(evil)},
		{"by digest, header lies", s.host + "/p@" + signed.DigestStr(), imageType, signed.DigestStr(), "Invalid digest. "},
		{"by digest, the type whose header is believed", s.host + "/p@" + signed.DigestStr(), "application/vnd.docker.distribution.manifest.v1+prettyjws", signed.DigestStr(), "Invalid digest. "},
		{"by tag, header lies", s.host + "/p:1", "application/vnd.docker.distribution.manifest.v1+prettyjws", signed.DigestStr(), "Invalid digest. "},
		{"by tag, no header", s.host + "/p:1", imageType, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/manifests/") {
					w.Header().Set("Content-Type", test.contentType)
					w.Header().Set("Docker-Content-Digest", test.header)
					_, _ = w.Write(evil)
				}
			})
			defer s.setAnswer(nil)
			artifact, err := open(t, registry.Config{Sources: s.trusting()}).Fetch(t.Context(), parse(t, test.text))
			if test.want != "" {
				wantError(t, err, test.want)
			} else if err != nil || artifact.Digest.DigestStr() != sha(evil) {
				t.Errorf("got digest %q, error %v, want that of the bytes", artifact.Digest, err)
			}
		})
	}
}

func TestFetchErrors(t *testing.T) {
	s := plainServer(t)
	s.push(t, "p:1", wasm("policy"))
	client := open(t, registry.Config{Sources: s.trusting()})

	_, err := client.Fetch(t.Context(), parse(t, s.host+"/p:2"))
	var failed *registry.FetchError
	if !errors.As(err, &failed) || failed.Reference != parse(t, s.host+"/p:2") || !strings.Contains(failed.Hint(), "check the repository and the tag") {
		t.Errorf("absent tag: got error %v", err)
	}
	wantError(t, err, `fetch "registry://`+s.host+`/p:2": `, "MANIFEST_UNKNOWN")

	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := client.Fetch(ended, parse(t, s.host+"/p:1")); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: got error %v", err)
	}
	if _, err := client.Fetch(t.Context(), registry.Reference{}); err == nil {
		t.Error("the zero reference was fetched")
	}
	for _, text := range []string{"file:///p.wasm", "https://example.com/p.wasm"} {
		if _, err := client.Digest(t.Context(), parse(t, text)); !errors.As(err, new(*registry.InvalidReferenceError)) {
			t.Errorf("digest of %q: got error %v", text, err)
		}
	}
}

func TestPlainModules(t *testing.T) {
	s := tlsServer(t)
	s.setAnswer(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/policy.wasm":
			_, _ = w.Write(wasm("policy " + r.URL.RawQuery))
		case "/moved.wasm":
			http.Redirect(w, r, "/policy.wasm", http.StatusFound)
		case "/page.wasm":
			_, _ = w.Write([]byte("<html>"))
		case "/large.wasm":
			_, _ = w.Write(wasm(strings.Repeat("x", 1000)))
		case "/endless.wasm":
			_, _ = w.Write(wasm(""))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte(strings.Repeat("x", 1000)))
		default:
			http.Error(w, "no such module", http.StatusTeapot)
		}
	})
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "policy.wasm"), wasm("policy "))
	writeFile(t, filepath.Join(dir, "large.wasm"), wasm(strings.Repeat("x", 1000)))
	writeFile(t, filepath.Join(dir, "page.wasm"), []byte("<html>"))
	client := open(t, registry.Config{Sources: s.trusting(), MaxModuleBytes: 1000})
	for _, test := range []struct {
		name, text, want string
	}{
		{"https", "https://" + s.host + "/policy.wasm", ""},
		{"https, redirected", "https://" + s.host + "/moved.wasm", ""},
		{"https, not wasm", "https://" + s.host + "/page.wasm", "invalid wasm file"},
		{"https, status", "https://" + s.host + "/absent.wasm", "unexpected status 418 I'm a teapot"},
		{"https, too large", "https://" + s.host + "/large.wasm", "module is larger than the limit of 1000 bytes"},
		{"https, too large, length unknown", "https://" + s.host + "/endless.wasm", "module is larger than the limit of 1000 bytes"},
		{"file", "file://" + dir + "/policy.wasm", ""},
		{"file, not wasm", "file://" + dir + "/page.wasm", "invalid wasm file"},
		{"file, too large", "file://" + dir + "/large.wasm", "module is larger than the limit of 1000 bytes"},
		{"file, absent", "file://" + dir + "/absent.wasm", "no such file"},
		{"file, directory", "file://" + dir, "is not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			artifact, err := client.Fetch(t.Context(), parse(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			if artifact.HasDigest() || artifact.Digest != (name.Digest{}) {
				t.Errorf("got digest %q, want none", artifact.Digest)
			}
			got, err := artifact.Module(t.Context(), registry.AllowUnsignedUnsafe(artifact.Digest))
			if test.want == "" {
				wantModule(t, got, err, wasm("policy "))
				return
			}
			wantError(t, err, test.want, parse(t, test.text).URI())
		})
	}
	t.Run("query and password", func(t *testing.T) {
		got, err := pull(t, client, "https://"+s.host+"/policy.wasm?v=1")
		wantModule(t, got, err, wasm("policy v=1"))
		s.Close()
		_, err = pull(t, client, "https://user:hunter2@"+s.host+"/policy.wasm?token=hunter2")
		wantError(t, err, "https://"+s.host+"/policy.wasm")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret is in %q", err)
		}
	})
}

// TestHintsNameTheServer holds that a hint is about who was asked, also when the reference does not
// spell it.
func TestHintsNameTheServer(t *testing.T) {
	for text, want := range map[string]string{
		"busybox":            `check that "index.docker.io" is up`,
		"ghcr.io/p:1":        `check that "ghcr.io" is up`,
		"https://h.io:8/p.w": `check that "h.io:8" is up`,
	} {
		err := &registry.FetchError{Reference: parse(t, text), Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
		if hint := err.Hint(); !strings.HasPrefix(hint, want) {
			t.Errorf("%s: %s", text, hint)
		}
	}
}
