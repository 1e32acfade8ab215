package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.yaml.in/yaml/v3"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/policy"
	"policy-server/registry/evidence"
	"policy-server/runtime/wasm"
)

const fullMetadata = podMetadata + `  io.kubewarden.policy.description: Short description
  io.kubewarden.policy.author: Name Surname <name@example.com>
  io.kubewarden.policy.url: https://git.example/pods
  io.kubewarden.policy.license: Apache-2.0
  io.kubewarden.policy.severity: medium
  number: "7"
contextAwareResources:
- {apiVersion: v1, kind: Namespace}
hostCapabilities: [kubernetes/get_resource]
minimumKubewardenVersion: 1.10.0
`

const fullDetails = `Details
title:                        gatekeeper-of-pods
description:                  Short description
author:                       Name Surname <name@example.com>
url:                          https://git.example/pods
source:                       https://git.example/pods
license:                      Apache-2.0
mutating:                     false
background audit support:     true
context aware:                true
policy type:                  kubernetes
execution mode:               kubewarden-wapc
protocol version:             1
minimum kubewarden version:   1.10.0

Annotations
io.kubewarden.kwctl           1.36.0
io.kubewarden.policy.severity medium
number                        7

Rules
- apiGroups:
  - ''
  apiVersions:
  - v1
  resources:
  - pods
  operations:
  - CREATE

Context Aware
The policy requires access to the following Kubernetes resources at evaluation time:
- apiVersion: v1
  kind: Namespace
To avoid abuses, review carefully what the policy requires access to.
`

const fullYAML = `protocolVersion: v1
rules:
- apiGroups:
  - ''
  apiVersions:
  - v1
  resources:
  - pods
  operations:
  - CREATE
annotations:
  io.kubewarden.kwctl: 1.36.0
  io.kubewarden.policy.author: Name Surname <name@example.com>
  io.kubewarden.policy.description: Short description
  io.kubewarden.policy.license: Apache-2.0
  io.kubewarden.policy.severity: medium
  io.kubewarden.policy.source: https://git.example/pods
  io.kubewarden.policy.title: gatekeeper-of-pods
  io.kubewarden.policy.url: https://git.example/pods
  number: "7"
mutating: false
backgroundAudit: true
executionMode: kubewarden-wapc
policyType: kubernetes
contextAwareResources:
- apiVersion: v1
  kind: Namespace
hostCapabilities:
- kubernetes/get_resource
minimumKubewardenVersion: 1.10.0
`

const bareDetails = `Details
mutating:                 false
background audit support: true
context aware:            false
policy type:              raw
execution mode:           wasi

Annotations
io.kubewarden.kwctl       1.36.0

Rules
[]
`

const bareYAML = `protocolVersion: Unknown
rules: []
annotations:
  io.kubewarden.kwctl: 1.36.0
mutating: false
backgroundAudit: true
executionMode: wasi
policyType: raw
contextAwareResources: []
`

func TestInspect_case73(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct{ guest, metadata, details, yaml string }{
		"everything": {"accepts", fullMetadata, fullDetails, fullYAML},
		"as little":  {"wasi_accepts", wasiMetadata, bareDetails, bareYAML},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			file := u.annotated(c.guest, c.metadata)
			if r := u.must("inspect", file); r.stdout != c.details || r.stderr != "" {
				t.Errorf("stderr %q, stdout\n%s", r.stderr, r.stdout)
			}
			if r := u.must("inspect", "-o", "yaml", file); r.stdout != c.yaml || r.stderr != "" {
				t.Errorf("stderr %q, stdout\n%s", r.stderr, r.stdout)
			}
		})
	}
}

func TestInspect_usage(t *testing.T) {
	u := newUser(t)
	out := filepath.Join(u.dir, "out.wasm")
	usage := u.writes("usage.md", "# Use\n\n- one\n  * two\n\n```\n- code\n```\n\n- \x1b[2Jsly\n")
	u.must("annotate", "-m", u.writes("m.yml", wasiMetadata), "-u", usage, "-o", out, guest(t, "wasi_accepts"))
	ruler := strings.Repeat("―", 80)
	want := "\nUsage\n" + ruler + "\n# Use\n\n• one\n  • two\n\n```\n- code\n```\n\n• \uFFFD[2Jsly\n" + ruler + "\n"
	if r := u.must("inspect", out); !strings.HasSuffix(r.stdout, want) {
		t.Errorf("got\n%s", r.stdout)
	}
}

func TestInspect_errors(t *testing.T) {
	u := newUser(t)
	parsed, err := wasm.Parse(read(t, guest(t, "accepts")))
	if err != nil {
		t.Fatal(err)
	}
	broken := u.writes("broken.wasm", string(parsed.WithCustom(policy.MetadataSection, []byte("{"))))
	old := u.writes("old.wasm", string(parsed.WithCustom(policy.MetadataSection, []byte(`{"rules":[],"mutating":false}`))))
	for name, c := range map[string]struct{ policy, want string }{
		"no metadata":      {guest(t, "accepts"), "Error: No Kubewarden metadata found inside of 'file://" + guest(t, "accepts") + "'.\nPolicies can be annotated with the `kwctl annotate` command."},
		"broken metadata":  {broken, "Error: Error parsing policy metadata: cannot deserialize custom section `io.kubewarden.metadata` of wasm module: "},
		"no module":        {u.writes("text", "hello"), "Error: Error parsing policy metadata: cannot parse custom section of wasm module: "},
		"a directory":      {u.dir, "Error: Error parsing policy metadata: cannot read metadata from path: "},
		"missing file":     {"file:///none.wasm", "cannot read metadata from path: /none.wasm: No such file or directory"},
		"before protocols": {old, "Error: Invalid policy: protocol_version not defined"},
	} {
		t.Run(name, func(t *testing.T) { u.does("inspect", c.policy).fails(t, c.want) })
	}
	if r := u.must("inspect", "-o", "yaml", old); !strings.HasPrefix(r.stdout, "rules: []\nmutating: false\n") {
		t.Errorf("got\n%s", r.stdout)
	}
}

// TestInspect_case72_signatures shows what lies beside a policy in its registry: nothing, a
// signature, a bundle as well.
func TestInspect_case72_signatures(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	uri := "registry://" + host + "/pods:v1"
	file := u.annotated("accepts", podMetadata)
	u.pushed(file, uri)
	u.must("pull", uri)
	const none, cannot = "No sigstore signatures found\n", "Cannot determine if the policy has been signed. There was an error while attempting to fetch its signatures from the remote registry: "
	text, document := u.must("inspect", uri).stdout, u.must("inspect", "-o", "yaml", uri).stdout
	if r := u.must("inspect", "--show-signatures", uri); r.stdout != text+"\n"+none {
		t.Errorf("got\n%s", r.stdout)
	}
	if r := u.must("inspect", "--show-signatures", "-o", "yaml", uri); r.stdout != document || r.stderr != none {
		t.Errorf("stderr %q, stdout\n%s", r.stderr, r.stdout)
	}
	if r := u.must("inspect", "--show-signatures", file); r.stdout != text+"\n"+cannot+"invalid uri \n" {
		t.Errorf("got\n%s", r.stdout)
	}

	key := u.writesKey("k.key")
	u.must("sign", "--key", key, "--layout", "legacy", "-a", "env=prod", uri)
	wantKeys := func(keys ...string) {
		t.Helper()
		var all, metadata map[string]any
		if err := yaml.Unmarshal([]byte(u.must("inspect", "--show-signatures", "-o", "yaml", uri).stdout), &all); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(document), &metadata); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			metadata[key] = all[key]
			if text := fmt.Sprint(all[key]); key != "unverified" && !strings.Contains(text, "schemaVersion:2") {
				t.Errorf("%s is %s", key, text)
			}
		}
		if !reflect.DeepEqual(all, metadata) {
			t.Errorf("keys beside %q: %v", keys, all)
		}
	}
	wantKeys("signatures", "unverified")
	u.must("sign", "--key", key, uri)
	wantKeys("signatures", "bundles", "unverified")
	shown, ok := strings.CutPrefix(u.must("inspect", "--show-signatures", uri).stdout, text)
	for _, want := range []string{
		"\nSigstore signatures\n\nDigest: sha256:",
		"\nMedia type: application/vnd.dev.cosign.simplesigning.v1+json\nSize: 2",
		"\nSays, not verified\nSigned by: a key\nSigned annotation: env=prod\nAnnotations\ndev.cosignproject.cosign/signature ME",
		"\nMedia type: application/vnd.dev.sigstore.bundle.v0.3+json\nSize: ",
		"\ndev.sigstore.bundle.content dsse-envelope\n",
	} {
		if !ok || !strings.Contains(regexp.MustCompile(" +").ReplaceAllString(shown, " "), want) {
			t.Errorf("want %q in\n%s", want, shown)
		}
	}

	stop()
	if r := u.must("inspect", "--show-signatures", uri); !strings.HasPrefix(r.stdout, text+"\n"+cannot) {
		t.Errorf("got\n%s", r.stdout)
	}
}

// TestInspect_identities shows whom a keyless signature names, of which nothing is verified.
func TestInspect_identities(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	uri := "registry://" + host + "/pods:v1"
	u.signsKeyless(u.pushed(u.annotated("accepts", podMetadata), uri), sigstoretest.Workflow("alice/pods"), map[string]string{"env": "prod"})
	u.must("pull", uri)
	shown := regexp.MustCompile(" +").ReplaceAllString(u.must("inspect", "--show-signatures", uri).stdout, " ")
	for _, want := range []string{
		"\nSays, not verified\nSubject: https://github.com/alice/pods/.github/workflows/release.yml@refs/tags/v1\nIssuer: https://token.actions.githubusercontent.com\n",
		"\nGitHub repository: alice/pods\nGitHub ref: refs/tags/v1\nGitHub workflow: Release\nGitHub trigger: push\nGitHub commit: 0123456789abcdef0123456789abcdef01234567\nLog index: 1000\nLog ID: ",
		"\nLogged at: 20", "\nSigned annotation: env=prod\nAnnotations\ndev.sigstore.bundle.content dsse-envelope\n",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("want %q in\n%s", want, shown)
		}
	}
	var document struct {
		Unverified []claim
	}
	if err := yaml.Unmarshal([]byte(u.must("inspect", "--show-signatures", "-o", "yaml", uri).stdout), &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Unverified) != 1 {
		t.Fatalf("got %+v", document)
	}
	got := document.Unverified[0]
	if !strings.HasPrefix(got.Subject, "https://github.com/alice/pods/") || got.GitHub == nil || got.GitHub.Repository != "alice/pods" ||
		got.Log == nil || got.Log.Index != 1000 || got.Annotations["env"] != "prod" || got.Unusable != "" {
		t.Errorf("got %+v", got)
	}
}

// FuzzSignatures: manifests that can be read can be printed, and the YAML means the same.
func FuzzSignatures(f *testing.F) {
	for _, seed := range []string{
		`{"schemaVersion":2,"layers":[{"mediaType":"application\/x","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1,"annotations":{"\ud83d\ude00":"\u001b[2J","7":"~"}}]}`,
		`{"schemaVersion":2,"annotations":{"a":"b\n c","<":"\u2028"},"subject":{}}`,
		`{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		manifest, err := v1.ParseManifest(bytes.NewReader(content))
		if err != nil {
			return
		}
		var text, document, reason bytes.Buffer
		found := listed(manifest)
		if err := found.print(&text, nil); err != nil || bytes.ContainsRune(text.Bytes(), 0x1b) {
			t.Errorf("%v: %q", err, text.String())
		}
		if err := found.printYAML(&document, &reason, nil); err != nil || reason.Len() > 0 != (len(found) == 0) {
			t.Fatalf("%v, %s", err, &reason)
		}
		if len(found) == 0 {
			return
		}
		encoded, err := json.Marshal(found.document())
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if json.Unmarshal(encoded, &want) != nil || yaml.Unmarshal(document.Bytes(), &got) != nil {
			t.Fatalf("%s\n%s", encoded, &document)
		}
		again, err := json.Marshal(got)
		if err == nil {
			err = json.Unmarshal(again, &got)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %v\nwant %v\nin\n%s", err, got, want, &document)
		}
	})
}

// listed returns the layers of manifest as signatures of either layout, who say of themselves what
// its annotations say.
func listed(manifest *v1.Manifest) signatures {
	var found signatures
	for i, layer := range manifest.Layers {
		place := evidence.Place{Layout: evidence.LayoutLegacy, Position: i, Layer: layer.Digest}
		one := evidence.Found{Place: place, Manifest: manifest, Descriptor: layer, Annotations: layer.Annotations}
		for key, value := range manifest.Annotations {
			one.Keyless = &evidence.Identity{Subject: value, Issuer: key, GitHub: evidence.GitHubWorkflow{Repository: value}}
			one.Unusable = errors.New(value)
		}
		two := one
		two.Layout, two.Log = evidence.LayoutBundle, &evidence.LogEntry{ID: layer.Digest.Hex, Index: layer.Size}
		found = append(found, one, two)
	}
	return found
}

// TestNames covers how run, inspect and push find what they are asked for. Nothing is stored, so
// the message tells what was looked for.
func TestNames(t *testing.T) {
	u := newUser(t)
	const notFound = "Error: Cannot find policy with uri: "
	for name, c := range map[string]struct{ name, want string }{
		"tag added":              {"registry://ghcr.io/kubewarden/policies/pod-privileged", notFound + "registry://ghcr.io/kubewarden/policies/pod-privileged:latest\n"},
		"full form":              {"registry://busybox", notFound + "registry://docker.io/library/busybox:latest\n"},
		"port, tag added":        {"registry://localhost:5000/p", notFound + "registry://localhost:5000/p:latest\n"},
		"tag kept":               {"registry://ghcr.io/p:v0.2.2", notFound + "registry://ghcr.io/p:v0.2.2\n"},
		"digest kept":            {"registry://ghcr.io/p@sha256:" + strings.Repeat("a", 64), notFound + "registry://ghcr.io/p@sha256:" + strings.Repeat("a", 64) + "\n"},
		"download":               {"https://git.example/policy.wasm", notFound + "https://git.example/policy.wasm\n"},
		"bare reference":         {"ghcr.io/kubewarden/tests/x", notFound + "registry://ghcr.io/kubewarden/tests/x:latest\n"},
		"no reference":           {"UPPER/CASE", notFound + "UPPER/CASE\n"},
		"missing file":           {"policy.wasm", notFound + "policy.wasm\n"},
		"SHA-256 of nothing":     {"0169", notFound + "0169\n"},
		"empty":                  {"", notFound + "\n"},
		"unknown scheme":         {"ftp://git.example/policy.wasm", "Error: Unknown scheme: ftp\n"},
		"no reference after all": {"registry://UPPER", "Error: Invalid OCI image reference: "},
	} {
		t.Run(name, func(t *testing.T) { u.does("inspect", c.name).fails(t, c.want) })
	}
}

// TestNames_stored covers the names of what was pulled.
func TestNames_stored(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	first, second := u.annotated("accepts", podMetadata), u.annotated("rejects", podMetadata)
	firstSHA := sha256Of(t, first)
	u.pushed(first, host+"/policies/first:v1")
	u.pushed(second, host+"/policies/second")
	u.must("pull", host+"/policies/first:v1")
	u.must("pull", "registry://"+host+"/policies/second")
	u.writes(filepath.Join(u.places.storeDir(), "registry", host, ".partial-1"), string(read(t, first)))
	stop()
	for name, c := range map[string]string{
		"URI":                    "registry://" + host + "/policies/first:v1",
		"URI without tag":        "registry://" + host + "/policies/second",
		"bare reference":         host + "/policies/first:v1",
		"beginning of a SHA-256": firstSHA[:8],
		"whole SHA-256":          firstSHA,
	} {
		t.Run(name, func(t *testing.T) { u.in(t).must("inspect", c) })
	}
	u.writes(filepath.Join(u.places.storeDir(), "https", "git.example", "copy.wasm"), string(read(t, first)))
	u.does("inspect", firstSHA[:8]).fails(t, "Error: multiple policies found with the same prefix: "+firstSHA[:8])
}

func TestNames_file(t *testing.T) {
	u := newUser(t)
	file := u.writes("sub dir/ä.wasm", string(read(t, u.annotated("accepts", podMetadata))))
	t.Chdir(filepath.Dir(file))
	u.must("inspect", "ä.wasm")
	u.must("inspect", "../sub dir/ä.wasm")
	u.must("inspect", "file://"+strings.ReplaceAll(filepath.Dir(file), " ", "%20")+"/%C3%A4.wasm")
}

// FuzzInspect: metadata that can be read can be printed, and the YAML means the same.
func FuzzInspect(f *testing.F) {
	for _, seed := range []string{
		`{"rules":[],"mutating":false}`,
		`{"protocolVersion":"v1","rules":[{"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"],"operations":["CREATE"]}],"annotations":{"a":"- b\n c ","7":"7","é":"\u0000\ud83d\ude00","<":"~","\u007f":"\ufeff\u0080\u0085\ufffe"},"mutating":true}`,
		`{"rules":[],"mutating":false,"annotations":{"io.kubewarden.policy.usage":"- \u001b[1m\n\n"},"contextAwareResources":[{"apiVersion":"v1","kind":"Pod"}],"executionMode":"wasi"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, section []byte) {
		metadata, err := policy.ParseMetadata(section)
		if err != nil {
			return
		}
		var details, document bytes.Buffer
		_ = printDetails(&details, metadata) // may refuse, must not panic
		if bytes.ContainsRune(details.Bytes(), 0x1b) {
			t.Errorf("prints an escape: %q", details.String())
		}
		if err := printYAML(&document, metadata); err != nil {
			t.Fatal(err)
		}
		again, err := policy.ParseMetadataYAML(document.Bytes())
		if err != nil {
			t.Fatalf("%v in\n%s", err, document.String())
		}
		want, _ := metadata.Encode()
		got, _ := again.Encode()
		if !bytes.Equal(got, want) {
			t.Errorf("got  %s\nwant %s\nin\n%s", got, want, document.String())
		}
	})
}
