package main

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/runtime/wasm"
)

// TestPush_case16 is in package registry: how annotations become the manifest's.
func TestPush_case14_case18(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	file := filepath.Join(u.dir, "out.wasm")
	u.must("annotate", "-m", u.writes("m.yml", podMetadata), "-u", u.writes("usage.md", "two\nlines\n"), "-o", file, guest(t, "accepts"))
	want := "Policy successfully pushed: " + host + "/acme/pods@sha256:"
	for name, uri := range map[string]string{"with scheme": "registry://" + host + "/acme/pods:v1", "without scheme": host + "/acme/pods:v1"} {
		t.Run(name, func(t *testing.T) {
			r := u.in(t).must("push", file, uri)
			if !strings.HasPrefix(r.stdout, want) || len(r.stdout) != len(want)+64+1 {
				t.Errorf("stdout %q", r.stdout)
			}
			if !strings.Contains(r.stderr, `WARN kwctl: annotation is a multi-line string, it will be removed from the OCI manifest annotation="io.kubewarden.policy.usage"`) {
				t.Errorf("stderr %q", r.stderr)
			}
		})
	}
	r := u.must("push", "--output", "json", file, host+"/acme/pods:v1")
	digest := u.pushed(file, host+"/acme/pods:v1")
	if r.stdout != `{"immutable_ref":"`+digest.Name()+`"}` {
		t.Errorf("stdout %q", r.stdout)
	}
	annotations := maps.Clone(metadataOf(t, file).Annotations)
	delete(annotations, usageAnnotation)
	annotations["org.opencontainers.image.source"] = "https://git.example/pods"
	if got := manifestAnnotations(t, "http://"+host+"/v2/acme/pods/manifests/v1"); !maps.Equal(got, annotations) {
		t.Errorf("manifest has %v\nwant %v", got, annotations)
	}
}

func manifestAnnotations(t *testing.T, url string) map[string]string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var manifest struct{ Annotations map[string]string }
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &manifest)
	}
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Annotations
}

// TestPush_stored pushes what was pulled.
func TestPush_case14_stored(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	u.pushed(u.annotated("accepts", podMetadata), host+"/one:v1")
	u.must("pull", host+"/one:v1")
	if r := u.must("push", "registry://"+host+"/one:v1", host+"/two:v1"); !strings.Contains(r.stdout, host+"/two@sha256:") {
		t.Errorf("stdout %q", r.stdout)
	}
}

func TestPush_case15_pulledBack(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	sources := u.writes("sources.yml", "insecure_sources: ['"+host+"']\n")
	u.writes(u.places.sources(), "")
	uri := "registry://" + host + "/acme/pods:v1"
	u.must("push", "--sources-path", sources, u.annotated("accepts", podMetadata), uri)
	u.must("pull", "--sources-path", sources, uri)
	u.lists(uri)
}

func TestPush_case17_case19_unannotated(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	accepts, rego := guest(t, "accepts"), u.writes("rego.wasm", regoModule())
	const annotate = "Error: Cannot push a policy that is not annotated. Use `annotate` command or `push --force`"
	u.does("push", accepts, host+"/pods").fails(t, annotate)
	u.does("push", "--force=false", accepts, host+"/pods").fails(t, annotate)
	u.does("push", rego, host+"/pods").fails(t, annotate)
	u.does("push", "--force", rego, host+"/pods").fails(t, "Error: Rego policies cannot be pushed without metadata")
	for _, args := range [][]string{{"push", "--force", accepts, host + "/pods"}, {"push", accepts, host + "/pods", "-f"}, {"push", "--force=true", accepts, host + "/pods"}} {
		if r := u.must(args...); r.stderr != "Warning: pushing a non-annotated policy!\n" || !strings.HasPrefix(r.stdout, "Policy successfully pushed: ") {
			t.Errorf("%q: stdout %q, stderr %q", args, r.stdout, r.stderr)
		}
	}
}

func TestPush_errors(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	stop()
	good := u.annotated("accepts", podMetadata)
	parsed, err := wasm.Parse(read(t, good))
	if err != nil {
		t.Fatal(err)
	}
	broken := u.writes("broken.wasm", string(parsed.WithCustom("io.kubewarden.metadata", []byte("[]"))))
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"not stored":           {[]string{"registry://" + host + "/pods:v1", host + "/q"}, "Error: Cannot find policy with uri: registry://" + host + "/pods:v1"},
		"missing file":         {[]string{"file:///none.wasm", host + "/q"}, "Error: Cannot open policy file: /none.wasm: No such file or directory"},
		"broken metadata":      {[]string{broken, host + "/q"}, "cannot deserialize custom section `io.kubewarden.metadata` of wasm module: "},
		"no module":            {[]string{u.writes("text", "hello"), host + "/q"}, "Error: cannot parse custom section of wasm module: "},
		"not a registry":       {[]string{good, "https://" + host + "/q.wasm"}, "Invalid destination format"},
		"no reference":         {[]string{good, "registry://UPPER"}, "Error: Invalid OCI image reference: "},
		"registry gone":        {[]string{good, host + "/q"}, "Error: push \"registry://" + host + "/q\": "},
		"sources missing":      {[]string{"--sources-path", "none.yaml", good, host + "/q"}, "Error: Error getting remote server options: sources file none.yaml: No such file or directory"},
		"sources are no list":  {[]string{"--sources-path", u.writes("s.yaml", "insecure_sources: a\n"), good, host + "/q"}, "Error: Error getting remote server options: "},
		"sources name no file": {[]string{"--sources-path", u.writes("c.yaml", "source_authorities: {a: [{type: Path, path: /none.pem}]}\n"), good, host + "/q"}, "Error: Error getting remote server options: "},
	} {
		t.Run(name, func(t *testing.T) { u.does(append([]string{"push"}, c.args...)...).fails(t, c.want) })
	}
}

// TestDockerConfig pushes to a registry that wants a password.
func TestDockerConfig(t *testing.T) {
	u := newUser(t)
	host := u.startsPrivateRegistry("alice", "secret")
	good := u.annotated("accepts", podMetadata)
	r := u.does("push", good, host+"/pods")
	r.fails(t, "Hint: put credentials for \""+host+"\"")
	r = u.does("push", "--docker-config-json-path", u.dir, good, host+"/pods")
	r.fails(t, "WARN kwctl: Docker config file not found. Check if you are pointing to the directory containing the file. The file path should be "+filepath.Join(u.dir, "config.json")+".")
	u.writes("config.json", `{"auths":{"`+host+`":{"auth":"YWxpY2U6c2VjcmV0"}}}`)
	if r := u.must("push", "--docker-config-json-path", u.dir, good, host+"/pods"); strings.Contains(r.stderr+r.stdout, "secret") {
		t.Errorf("the password is printed: %s%s", r.stdout, r.stderr)
	}
	u.must("pull", "--docker-config-json-path", u.dir, host+"/pods")
}
