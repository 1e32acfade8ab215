package registry_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"policy-server/registry"
)

func TestPushedManifest(t *testing.T) {
	const (
		config = `"config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.wasm.config.v1+json","size":2}`
		// The digest was computed apart, by sha256sum over the module's fourteen bytes.
		layers = `"layers":[{"digest":"sha256:bd19a19d94ffbe9b551e8ea75d4630486161e07fa8f163db0b7e835cd14a0f8c","mediaType":"application/vnd.wasm.content.layer.v1+wasm","size":14}]`
	)
	for _, test := range []struct {
		name        string
		annotations map[string]string
		want        string
	}{
		{"no annotations", nil, `{` + config + `,` + layers + `,"schemaVersion":2}`},
		{"annotations", map[string]string{"io.kubewarden.policy.title": "pod-privileged", "b": "<&> ü", "a": "x"},
			`{"annotations":{"a":"x","b":"<&> ü","io.kubewarden.policy.title":"pod-privileged"},` + config + `,` + layers + `,"schemaVersion":2}`},
		{"only dropped annotations", map[string]string{"usage": "one\ntwo"}, `{` + config + `,` + layers + `,"schemaVersion":2}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := tlsServer(t)
			client := open(t, registry.Config{Sources: s.trusting()})
			digest, err := client.Push(t.Context(), parse(t, "registry://"+s.host+"/some/policy:1"), wasm("policy"), test.annotations)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.Client().Get(s.URL + "/v2/some/policy/manifests/1")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got manifest\n%s\nwant\n%s", got, test.want)
			}
			if resp.Header.Get("Content-Type") != imageType {
				t.Errorf("got type %q", resp.Header.Get("Content-Type"))
			}
			if want := s.host + "/some/policy@" + sha(got); digest.String() != want {
				t.Errorf("got digest %q, want %q", digest, want)
			}
			module, err := pull(t, client, s.host+"/some/policy@"+digest.DigestStr())
			wantModule(t, module, err, wasm("policy"))
		})
	}
}

func TestManifestAnnotations(t *testing.T) {
	got, dropped := registry.ManifestAnnotations(map[string]string{
		"plain": "x", "ends with a line break": " x \n", "windows": "x\r\n", "empty": "", "two": "x\ny", "three": "x\n\n", "below": "\nx",
		"io.kubewarden.policy.source": "https://example.com/source",
	})
	want := map[string]string{
		"plain": "x", "ends with a line break": "x", "windows": "x", "empty": "",
		"io.kubewarden.policy.source": "https://example.com/source", "org.opencontainers.image.source": "https://example.com/source",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"below", "three", "two"}; !reflect.DeepEqual(dropped, want) {
		t.Errorf("dropped %q, want %q", dropped, want)
	}
	got, _ = registry.ManifestAnnotations(map[string]string{"io.kubewarden.policy.source": "a", "org.opencontainers.image.source": "b"})
	if got["org.opencontainers.image.source"] != "b" {
		t.Errorf("the source given was replaced: %q", got)
	}
}

func TestPushDestinations(t *testing.T) {
	s := plainServer(t)
	client := open(t, registry.Config{Sources: s.trusting()})
	right := s.push(t, "p:1", wasm("policy")).DigestStr()
	for _, test := range []struct {
		name, text string
		module     []byte
		want       string
	}{
		{"no tag", s.host + "/p", wasm("policy"), ""},
		{"its own digest", s.host + "/q@" + right, wasm("policy"), ""},
		{"another digest", s.host + "/q@" + right, wasm("other"), "the destination's digest is not the manifest's"},
		{"https", "https://" + s.host + "/p.wasm", wasm("policy"), "Invalid destination format"},
		{"file", "file:///p.wasm", wasm("policy"), "Invalid destination format"},
		{"not a module", s.host + "/p:2", []byte("text"), "invalid wasm file"},
		{"plain http, not listed", strings.Replace(s.host, "127.0.0.1", "localhost", 1) + "/p:1", wasm("policy"), "insecure_sources"},
	} {
		t.Run(test.name, func(t *testing.T) {
			digest, err := client.Push(t.Context(), parse(t, test.text), test.module, nil)
			if test.want != "" {
				wantError(t, err, test.want, `push "`)
				if !errors.As(err, new(*registry.PushError)) {
					t.Errorf("got a %T, want a PushError", err)
				}
				return
			}
			if err != nil || digest.DigestStr() != right {
				t.Errorf("got digest %q, error %v, want %q", digest, err, right)
			}
		})
	}
	got, err := pull(t, client, s.host+"/p:latest")
	wantModule(t, got, err, wasm("policy"))
}
