package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"policy-server/internal/testing/signer"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/policy"
	"policy-server/runtime/wasm"
)

// user is somebody at a terminal with directories of their own.
type user struct {
	t      *testing.T
	dir    string // where their files are
	places places
}

func newUser(t *testing.T) *user {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("KUBECONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("DOCKER_CONFIG", home)
	t.Setenv("TMPDIR", t.TempDir())
	places, err := findPlaces()
	if err != nil {
		t.Fatal(err)
	}
	return &user{t: t, dir: t.TempDir(), places: places}
}

// in returns the same user in a subtest.
func (u *user) in(t *testing.T) *user {
	sub := *u
	sub.t = t
	return &sub
}

// result is how a program ended.
type result struct {
	code           int
	stdout, stderr string
}

// does runs the program.
func (u *user) does(args ...string) result { return u.pipes("", args...) }

// pipes runs the program with something on its standard input.
func (u *user) pipes(stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(append([]string{"/usr/bin/kwctl"}, args...), strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// must runs the program and expects it to succeed.
func (u *user) must(args ...string) result {
	u.t.Helper()
	r := u.does(args...)
	if r.code != 0 {
		u.t.Fatalf("%q: exit code %d\n%s", args, r.code, r.stderr)
	}
	return r
}

// fails expects a run-time error that says want, and nothing on stdout.
func (r result) fails(t *testing.T, want string) {
	t.Helper()
	if r.code != 1 || r.stdout != "" || !strings.Contains(r.stderr, "Error: ") || !strings.Contains(r.stderr, want) {
		t.Errorf("exit code %d, stdout %q, stderr\n%s\nwant %q", r.code, r.stdout, r.stderr, want)
	}
}

// refuses expects a usage error that says want, and nothing on stdout.
func (r result) refuses(t *testing.T, want string) {
	t.Helper()
	if r.code != 2 || r.stdout != "" || !strings.HasPrefix(r.stderr, "error: ") || !strings.Contains(r.stderr, want) || !strings.Contains(r.stderr, "--help") {
		t.Errorf("exit code %d, stdout %q, stderr\n%s\nwant %q", r.code, r.stdout, r.stderr, want)
	}
}

// writes makes a file and returns its path.
func (u *user) writes(file, content string) string {
	u.t.Helper()
	if !filepath.IsAbs(file) {
		file = filepath.Join(u.dir, file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return file
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// startsRegistry starts a registry of plain HTTP, which the user's sources file allows, and returns
// its host.
func (u *user) startsRegistry() (host string, stop func()) {
	u.t.Helper()
	return u.serves(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
}

// startsPrivateRegistry starts one that wants a password.
func (u *user) startsPrivateRegistry(name, password string) (host string) {
	u.t.Helper()
	images := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	host, _ = u.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, p, ok := r.BasicAuth(); !ok || n != name || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="images"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	return host
}

func (u *user) serves(images http.Handler) (host string, stop func()) {
	u.t.Helper()
	server := httptest.NewServer(images)
	u.t.Cleanup(server.Close)
	host = server.Listener.Addr().String()
	u.writes(u.places.sources(), "insecure_sources: ['"+host+"']\n")
	return host, server.Close
}

// guest returns the path of a test guest, which has no metadata.
func guest(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs("../../runtime/testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

const podMetadata = `
rules:
- apiGroups: [""]
  apiVersions: [v1]
  resources: [pods]
  operations: [CREATE]
mutating: false
annotations:
  io.kubewarden.policy.title: gatekeeper-of-pods
  io.kubewarden.policy.source: https://git.example/pods
`

// annotated returns the path of a guest with metadata, which is YAML.
func (u *user) annotated(guestName, metadata string) string {
	u.t.Helper()
	out := filepath.Join(u.dir, guestName+"-annotated.wasm")
	u.must("annotate", "-m", u.writes("metadata.yml", metadata), "-o", out, guest(u.t, guestName))
	return out
}

// pushed pushes a module and returns its reference by digest.
func (u *user) pushed(module, uri string) name.Digest {
	u.t.Helper()
	var pushed struct {
		Reference string `json:"immutable_ref"`
	}
	if err := json.Unmarshal([]byte(u.must("push", "-o", "json", module, uri).stdout), &pushed); err != nil {
		u.t.Fatal(err)
	}
	digest, err := name.NewDigest(pushed.Reference)
	if err != nil {
		u.t.Fatal(err)
	}
	return digest
}

// signs signs a digest with a new key and returns the path of the public one.
func (u *user) signs(d name.Digest, file string, annotations map[string]string) string {
	u.t.Helper()
	s, err := signer.New()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := s.Sign(u.t.Context(), d, annotations); err != nil {
		u.t.Fatal(err)
	}
	return u.writes(file, string(s.PublicKeyPEM()))
}

// signsKeyless signs a digest by an identity of a new Sigstore and returns the path of its trust
// config.
func (u *user) signsKeyless(d name.Digest, id sigstoretest.Identity, annotations map[string]string) string {
	u.t.Helper()
	authority, err := sigstoretest.New()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := authority.SignImage(u.t.Context(), id, d, annotations); err != nil {
		u.t.Fatal(err)
	}
	trustConfig, err := authority.ClientTrustConfig()
	if err != nil {
		u.t.Fatal(err)
	}
	return u.writes("trust.json", string(trustConfig))
}

// metadataOf returns the metadata in the module of a file.
func metadataOf(t *testing.T, file string) policy.Metadata {
	t.Helper()
	metadata, ok, err := policy.ReadMetadata(read(t, file))
	if err != nil || !ok {
		t.Fatalf("metadata of %s: %t, %v", file, ok, err)
	}
	return metadata
}

// assemble makes modules that no compiler would make so small.
func assemble(sections ...[]byte) string {
	return "\x00asm\x01\x00\x00\x00" + string(bytes.Join(sections, nil))
}

func section(id byte, payload string) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(payload))), payload...)
}

// regoModule exports its memory by a name of OPA's.
func regoModule() string {
	return assemble(section(5, "\x01\x00\x01"), section(7, "\x01\x0aopa_malloc\x02\x00"))
}

// moduleWithData holds each text in a data segment of its own.
func moduleWithData(texts ...string) string {
	data := binary.AppendUvarint(nil, uint64(len(texts)))
	for _, text := range texts {
		data = append(binary.AppendUvarint(append(data, 1), uint64(len(text))), text...) // 1: passive
	}
	return assemble(section(11, string(data)))
}

// imports lists a module's imports as MODULE.NAME.
func imports(t *testing.T, file string) []string {
	t.Helper()
	module, err := wasm.Parse(read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range module.Imports() {
		names = append(names, i.Module+"."+i.Name)
	}
	return names
}

const (
	podRequest = `{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","kind":{"group":"","version":"v1","kind":"Pod"},` +
		`"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","userInfo":{"username":"alice"},` +
		`"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"nginx"}}}`
	podReview  = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":` + podRequest + `}`
	podAllowed = `{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true,"auditAnnotations":null,"warnings":null}` + "\n"
)
