package oci_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"policy-server/hostcalls"
	"policy-server/hostcalls/oci"
	"policy-server/registry"
)

// images is a registry and the capabilities that ask it.
type images struct {
	t            *testing.T
	host         string
	capabilities map[hostcalls.Path]hostcalls.Understanding
	client       *registry.Client
	content      http.Handler // of the registry
	requests     atomic.Int32 // for manifests
}

func newImages(t *testing.T) *images {
	t.Helper()
	i := &images{t: t, content: ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodGet {
			i.requests.Add(1)
		}
		i.content.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	i.host = server.Listener.Addr().String()
	client, err := registry.Open(registry.Config{Sources: registry.Sources{InsecureSources: []string{i.host}}, MaxManifestBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	i.client, i.capabilities = client, byPath(oci.Capabilities(client))
	return i
}

func byPath(capabilities []hostcalls.Capability) map[hostcalls.Path]hostcalls.Understanding {
	all := map[hostcalls.Path]hostcalls.Understanding{}
	for _, capability := range capabilities {
		all[capability.Path] = capability.Understand
	}
	return all
}

// asks makes one call about an image of this registry.
func (i *images) asks(path hostcalls.Path, image string) (string, error) {
	return i.sends(path, fmt.Sprintf("%q", i.host+"/"+image))
}

func (i *images) sends(path hostcalls.Path, payload string) (string, error) {
	request, err := i.capabilities[path]([]byte(payload))
	if err != nil {
		return "", err
	}
	answer, err := request.Perform(i.t.Context())
	return string(answer), err
}

func (i *images) reference(image string) name.Reference {
	i.t.Helper()
	ref, err := name.ParseReference(i.host+"/"+image, name.Insecure)
	if err != nil {
		i.t.Fatal(err)
	}
	return ref
}

// container makes an image for a platform.
func (i *images) container(architecture string) v1.Image {
	i.t.Helper()
	img, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
		OS: goruntime.GOOS, Architecture: architecture,
		Config: v1.Config{User: "65533:65533", Env: []string{"PATH=/bin"}, Entrypoint: []string{"/app"}, WorkingDir: "/srv",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}}},
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return mutate.ConfigMediaType(img, types.OCIConfigJSON)
}

func (i *images) push(image string, img v1.Image) v1.Hash {
	i.t.Helper()
	if err := remote.Write(i.reference(image), img); err != nil {
		i.t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		i.t.Fatal(err)
	}
	return digest
}

// pushIndex pushes an index over images for these architectures.
func (i *images) pushIndex(image string, architectures ...string) v1.Hash {
	i.t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range architectures {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        i.container(architecture),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: goruntime.GOOS, Architecture: architecture}},
		})
	}
	if err := remote.WriteIndex(i.reference(image), index); err != nil {
		i.t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		i.t.Fatal(err)
	}
	return digest
}

// pushPolicy pushes a module as policies are, whose manifest does not name its own type.
func (i *images) pushPolicy(image string) name.Digest {
	i.t.Helper()
	reference, err := registry.ParseReference(i.host + "/" + image)
	if err != nil {
		i.t.Fatal(err)
	}
	digest, err := i.client.Push(i.t.Context(), reference, []byte("\x00asm\x01\x00\x00\x00"), nil)
	if err != nil {
		i.t.Fatal(err)
	}
	return digest
}

// document is what the tests look at of an answer.
type document struct {
	Digest    string
	MediaType string
	Config    struct {
		MediaType, Architecture string
		Size                    int
		Config                  struct {
			User, WorkingDir string
			Env, Entrypoint  []string
			ExposedPorts     map[string]any
		}
	}
	Manifest  *document
	Manifests []struct{ Platform v1.Platform }
}

func decode(t *testing.T, answer string, err error) document {
	t.Helper()
	var d document
	if err == nil {
		err = json.Unmarshal([]byte(answer), &d)
	}
	if err != nil {
		t.Fatalf("answer %s, %v", answer, err)
	}
	return d
}

func TestManifest(t *testing.T) {
	i := newImages(t)
	i.push("single:v1", i.container("amd64"))
	i.pushIndex("multi:v1", "amd64", "arm64")
	i.pushPolicy("policy:v1")
	t.Run("33 single platform", func(t *testing.T) {
		answer, err := i.asks(hostcalls.OCIManifest, "single:v1")
		if d := decode(t, answer, err); d.MediaType != string(types.OCIManifestSchema1) || d.Config.MediaType != string(types.OCIConfigJSON) {
			t.Errorf("answer %s", answer)
		}
	})
	t.Run("33 several platforms", func(t *testing.T) {
		answer, err := i.asks(hostcalls.OCIManifest, "multi:v1")
		d := decode(t, answer, err)
		if d.MediaType != string(types.OCIImageIndex) || len(d.Manifests) != 2 || d.Manifests[1].Platform.Architecture != "arm64" {
			t.Errorf("answer %s", answer)
		}
	})
	t.Run("a policy gets its media type", func(t *testing.T) {
		answer, err := i.asks(hostcalls.OCIManifest, "policy:v1")
		if d := decode(t, answer, err); d.MediaType != string(types.OCIManifestSchema1) {
			t.Errorf("answer %s", answer)
		}
	})
}

func TestManifestConfig(t *testing.T) {
	i := newImages(t)
	single := i.push("single:v1", i.container("amd64"))
	i.pushIndex("multi:v1", "riscv64", goruntime.GOARCH)
	ours, err := i.container(goruntime.GOARCH).Digest()
	if err != nil {
		t.Fatal(err)
	}
	policy := i.pushPolicy("policy:v1")
	t.Run("34 container image", func(t *testing.T) {
		answer, err := i.asks(hostcalls.OCIManifestConfig, "single:v1")
		d := decode(t, answer, err)
		c := d.Config.Config
		if d.Digest != single.String() || d.Manifest.MediaType != string(types.OCIManifestSchema1) || c.User != "65533:65533" ||
			c.WorkingDir != "/srv" || len(c.Env) != 1 || len(c.Entrypoint) != 1 || len(c.ExposedPorts) != 1 {
			t.Errorf("answer %s", answer)
		}
	})
	t.Run("34 policy", func(t *testing.T) {
		answer, err := i.asks(hostcalls.OCIManifestConfig, "policy:v1")
		d := decode(t, answer, err)
		if d.Digest != policy.DigestStr() || !strings.Contains(answer, `"config":{}}`) || d.Manifest.Config.Size != 2 ||
			d.Manifest.Config.MediaType != "application/vnd.wasm.config.v1+json" {
			t.Errorf("answer %s", answer)
		}
	})
	t.Run("of an index the server's platform", func(t *testing.T) {
		answer, err := i.asks(hostcalls.OCIManifestConfig, "multi:v1")
		if d := decode(t, answer, err); d.Digest != ours.String() || d.Config.Architecture != goruntime.GOARCH {
			t.Errorf("answer %s, expected %s", answer, ours)
		}
	})
}

func TestManifestDigest(t *testing.T) {
	i := newImages(t)
	single, multi := i.push("single:v1", i.container("amd64")), i.pushIndex("multi:v1", "amd64")
	for image, want := range map[string]v1.Hash{"single:v1": single, "single@" + single.String(): single, "multi:v1": multi} {
		t.Run("35 "+image, func(t *testing.T) {
			got, err := i.asks(hostcalls.OCIManifestDigest, image)
			if want := fmt.Sprintf(`{"digest":%q}`, want); err != nil || got != want {
				t.Errorf("got %s, %v; want %s", got, err, want)
			}
		})
	}
}

func TestCapabilities_fail(t *testing.T) {
	i := newImages(t)
	i.pushIndex("elsewhere:v1", "riscv64")
	large, err := mutate.ConfigFile(i.container("amd64"), &v1.ConfigFile{Author: strings.Repeat("a", 65<<10)})
	if err != nil {
		t.Fatal(err)
	}
	i.push("large:v1", large)
	i.push("annotated:v1", mutate.Annotations(i.container("amd64"), map[string]string{"a": strings.Repeat("a", 65<<10)}).(v1.Image))
	for name, c := range map[string]struct {
		path          hostcalls.Path
		payload, want string
	}{
		"not JSON":                {hostcalls.OCIManifest, `nonsense`, "decode image reference: "},
		"not a string":            {hostcalls.OCIManifestDigest, `{}`, "decode image reference: "},
		"empty":                   {hostcalls.OCIManifestConfig, `""`, "Invalid OCI image reference: repository name"},
		"upper case":              {hostcalls.OCIManifest, `"UPPER/case:v1"`, "Invalid OCI image reference: invalid reference format"},
		"with a scheme":           {hostcalls.OCIManifest, `"registry://ghcr.io/a/b:v1"`, "Invalid OCI image reference: "},
		"not there":               {hostcalls.OCIManifestDigest, fmt.Sprintf("%q", i.host+"/none:v1"), "Fail to interact with OCI registry: "},
		"not for this platform":   {hostcalls.OCIManifestConfig, fmt.Sprintf("%q", i.host+"/elsewhere:v1"), "Fail to interact with OCI registry: "},
		"config too large":        {hostcalls.OCIManifestConfig, fmt.Sprintf("%q", i.host+"/large:v1"), "Fail to interact with OCI registry: "},
		"manifest too large":      {hostcalls.OCIManifest, fmt.Sprintf("%q", i.host+"/annotated:v1"), "Fail to interact with OCI registry: "},
		"digest of one too large": {hostcalls.OCIManifestDigest, fmt.Sprintf("%q", i.host+"/annotated:v1"), "Fail to interact with OCI registry: "},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := i.sends(c.path, c.payload); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %s, %v; want %s…", got, err, c.want)
			}
		})
	}
}

// What is remembered is what one capability said of one text: other texts and other capabilities
// ask again, and so does whoever was told of a failure.
func TestCapabilities_remember(t *testing.T) {
	i := newImages(t)
	i.push("app:latest", i.container("amd64"))
	for _, c := range []struct {
		path     hostcalls.Path
		image    string
		requests int32
	}{
		{hostcalls.OCIManifestDigest, "app:latest", 1},
		{hostcalls.OCIManifestDigest, "app:latest", 0},
		{hostcalls.OCIManifestDigest, "app", 1},
		{hostcalls.OCIManifest, "app:latest", 1},
		{hostcalls.OCIManifest, "app:latest", 0},
		{hostcalls.OCIManifestConfig, "app:latest", 1},
		{hostcalls.OCIManifest, "none:v1", 1},
		{hostcalls.OCIManifest, "none:v1", 1},
	} {
		before := i.requests.Load()
		_, _ = i.asks(c.path, c.image) // "none" fails, which is what the last two are about
		if got := i.requests.Load() - before; got != c.requests {
			t.Errorf("%s of %s made %d requests, expected %d", c.path, c.image, got, c.requests)
		}
	}
}

func TestCapabilities_proxies(t *testing.T) {
	i := newImages(t)
	digest := i.push("app:v1", i.container("amd64"))
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect { // the way over TLS leads nowhere
			http.Error(w, "no tunnels", http.StatusBadGateway)
			return
		}
		asked.Add(1)
		i.content.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	for name, c := range map[string]struct {
		proxies registry.Proxies
		through bool
	}{
		"36 through the proxy": {registry.Proxies{HTTPProxy: proxy.URL, HTTPSProxy: proxy.URL}, true},
		"36 past the proxy":    {registry.Proxies{HTTPProxy: proxy.URL, HTTPSProxy: proxy.URL, NoProxy: "registry.invalid"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := registry.Open(registry.Config{Sources: registry.Sources{InsecureSources: []string{"registry.invalid:5000"}, Proxies: &c.proxies}})
			if err != nil {
				t.Fatal(err)
			}
			i.capabilities = byPath(oci.Capabilities(client))
			asked.Store(0)
			answer, err := i.sends(hostcalls.OCIManifestDigest, `"registry.invalid:5000/app:v1"`)
			if c.through != (asked.Load() > 0) || c.through != strings.Contains(answer, digest.String()) || c.through != (err == nil) {
				t.Errorf("answer %s, %v; the proxy was asked %d times", answer, err, asked.Load())
			}
		})
	}
}

func FuzzCapabilities(f *testing.F) {
	f.Add([]byte(`"ghcr.io/kubewarden/policy-server:v1.10.0"`))
	f.Add([]byte(`"registry://a"`))
	client, err := registry.Open(registry.Config{})
	if err != nil {
		f.Fatal(err)
	}
	capabilities := byPath(oci.Capabilities(client))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for path, capability := range capabilities {
			request, err := capability(payload)
			if err == nil && len(request.Question.Fields) != 1 {
				t.Errorf("%s asks %v", path, request.Question)
			}
		}
	})
}
