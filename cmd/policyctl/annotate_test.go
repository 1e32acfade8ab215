package main

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"policy-server/policy"
	"policy-server/runtime/wasm"
)

const wasiMetadata = "rules: []\nmutating: false\nexecutionMode: wasi\npolicyType: raw\n"

func TestAnnotate(t *testing.T) {
	u := newUser(t)
	out := filepath.Join(u.dir, "out.wasm")
	source := guest(t, "accepts")
	r := u.must("annotate", source, "-u", u.writes("usage.md", "# Usage\n\n- read\n"), "-o"+out, "--metadata-path="+u.writes("m.yml", podMetadata+"protocolVersion: Unknown\n"))
	if r.stdout != "" || r.stderr != "" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	m := metadataOf(t, out)
	if m.ProtocolVersion != "v1" || m.ExecutionMode != policy.ExecuteWaPC || len(m.Rules) != 1 || m.Mutating {
		t.Errorf("%+v", m)
	}
	want := map[string]string{
		"io.kubewarden.policy.title":  "gatekeeper-of-pods",
		"io.kubewarden.policy.source": "https://git.example/pods",
		"io.kubewarden.policy.usage":  "# Usage\n\n- read\n",
		"io.kubewarden.kwctl":         policy.CompatibleVersion,
	}
	if !maps.Equal(m.Annotations, want) {
		t.Errorf("annotations %v", m.Annotations)
	}
	// What the module does is what it did: everything but the section is there, byte for byte.
	if original := read(t, source); !bytes.HasPrefix(read(t, out), original) {
		t.Error("the annotated module does not begin with the original one")
	}
}

// TestAnnotate_toolAnnotation holds that the annotation is ours with any annotations of the
// author's.
func TestAnnotate_toolAnnotation(t *testing.T) {
	u := newUser(t)
	for name, metadata := range map[string]string{
		"annotations":    wasiMetadata + "annotations: {a: b}\n",
		"no annotations": wasiMetadata,
		"a false one":    wasiMetadata + "annotations: {io.kubewarden.kwctl: '9'}\n",
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			out := u.annotated("wasi_accepts", metadata)
			if got := metadataOf(t, out).Annotations[toolAnnotation]; got != policy.CompatibleVersion {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAnnotate_again(t *testing.T) {
	u := newUser(t)
	first := u.annotated("accepts", podMetadata)
	u.must("annotate", "-m", u.writes("second.yml", strings.Replace(podMetadata, "mutating: false", "mutating: true", 1)), "-o", first, first)
	if !metadataOf(t, first).Mutating {
		t.Error("the second annotation did not win")
	}
}

func TestAnnotate_executionMode(t *testing.T) {
	u := newUser(t)
	rego := u.writes("rego.wasm", regoModule())
	const wrong = "Error: Wrong value inside of policy's metadata for 'executionMode'. "
	for name, c := range map[string]struct {
		module, mode string
		failure      string // "" for success
		version      string
	}{
		"opa, Rego":            {rego, "opa", "", "Unknown"},
		"gatekeeper, Rego":     {rego, "gatekeeper", "", "Unknown"},
		"wasi, Rego":           {rego, "wasi", "", "Unknown"},
		"waPC, Rego":           {rego, "kubewarden-wapc", wrong + "This policy has been created using Rego", ""},
		"opa, not Rego":        {guest(t, "accepts"), "opa", wrong + "The policy has not been created using Rego", ""},
		"gatekeeper, not Rego": {guest(t, "accepts"), "gatekeeper", wrong + "The policy has not been created using Rego", ""},
		"waPC":                 {guest(t, "accepts"), "kubewarden-wapc", "", "v1"},
		"wasi":                 {guest(t, "wasi_accepts"), "wasi", "", "Unknown"},
		"waPC, but WASI":       {guest(t, "wasi_accepts"), "kubewarden-wapc", "Error while detecting Kubewarden protocol version: ", ""},
		"waPC, other answer":   {u.writes("v2.wasm", strings.Replace(string(read(t, guest(t, "accepts"))), `"v1"`, `"v2"`, 1)), "kubewarden-wapc", `Error while detecting Kubewarden protocol version: the module answered "\"v2\""`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			out := filepath.Join(t.TempDir(), "out.wasm")
			r := u.does("annotate", "-m", u.writes("m.yml", "rules: []\nmutating: false\nexecutionMode: "+c.mode+"\n"), "-o", out, c.module)
			if c.failure != "" {
				r.fails(t, c.failure)
				return
			}
			if r.code != 0 || metadataOf(t, out).ProtocolVersion != c.version {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
		})
	}
}

func TestAnnotate_errors(t *testing.T) {
	u := newUser(t)
	good, accepts := u.writes("m.yml", podMetadata), guest(t, "accepts")
	out := filepath.Join(u.dir, "out.wasm")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"usage missing":      {[]string{"-m", good, "-o", out, "-u", "none.md", accepts}, "Error: Error reading usage file: none.md: No such file or directory"},
		"module missing":     {[]string{"-m", good, "-o", out, "none.wasm"}, "Error: Error reading wasm file: none.wasm: No such file or directory"},
		"module is text":     {[]string{"-m", good, "-o", out, good}, "Error: Error parsing wasm module: "},
		"metadata missing":   {[]string{"-m", "none.yml", "-o", out, accepts}, "Error: Error opening metadata file: none.yml: No such file or directory"},
		"metadata lacks":     {[]string{"-m", u.writes("lacks.yml", "rules: []\n"), "-o", out, accepts}, "Error: Error unmarshalling metadata missing field `mutating`"},
		"metadata is wrong":  {[]string{"-m", u.writes("wrong.yml", strings.Replace(podMetadata, "[pods]", "[]", 1)), "-o", out, accepts}, "Error: Metadata is invalid: rules[0].resources: must not be empty"},
		"output not allowed": {[]string{"-m", good, "-o", filepath.Join(u.dir, "none", "out.wasm"), accepts}, "No such file or directory"},
	} {
		t.Run(name, func(t *testing.T) { u.does(append([]string{"annotate"}, c.args...)...).fails(t, c.want) })
	}
}

// TestAnnotate_capabilities compares declared capabilities with those in a module's data.
func TestAnnotate_capabilities(t *testing.T) {
	u := newUser(t)
	const undeclared = "WARN kwctl: host capabilities used by the policy but not declared in metadata capabilities="
	const unused = "WARN kwctl: host capabilities declared in metadata but not detected in the policy capabilities="
	for name, c := range map[string]struct {
		data     []string
		declared string
		want     []string // the warnings
	}{
		"nothing":                  {nil, "", nil},
		"equal":                    {[]string{"kubernetes", "can_i"}, "kubernetes/can_i", nil},
		"both ways":                {[]string{"kubernetes get_resource list_resources_by_namespace"}, "oci/v1/verify", []string{undeclared + `{"kubernetes/get_resource", "kubernetes/list_resources_by_namespace"}`, unused + `{"oci/v1/verify"}`}},
		"wildcards stand alone":    {[]string{"oci", "v2/verify"}, "oci/*", []string{undeclared + `{"oci/v2/verify"}`, unused + `{"oci/*"}`}},
		"longer name only":         {[]string{"oci v1/oci_manifest_config"}, "oci/v1/oci_manifest_config", nil},
		"longer and shorter name":  {[]string{"oci v1/oci_manifest_config", "v1/oci_manifest"}, "oci/v1/oci_manifest_config", []string{undeclared + `{"oci/v1/oci_manifest"}`}},
		"shorter, then longer":     {[]string{"oci v1/oci_manifest v1/oci_manifest_config"}, "oci/v1/oci_manifest_config", []string{undeclared + `{"oci/v1/oci_manifest"}`}},
		"operation without its ns": {[]string{"can_i"}, "", nil},
		"across two segments":      {[]string{"kubernetes can", "_i"}, "", nil},
		"all": {
			[]string{"crypto v1/is_certificate_trusted kubernetes can_i get_resource list_resources_all list_resources_by_namespace", "net v1/dns_lookup_host oci v1/manifest_digest v1/oci_manifest v1/oci_manifest_config v1/verify v2/verify"}, "",
			[]string{undeclared + `{"crypto/v1/is_certificate_trusted", "kubernetes/can_i", "kubernetes/get_resource", "kubernetes/list_resources_all", "kubernetes/list_resources_by_namespace", "net/v1/dns_lookup_host", "oci/v1/manifest_digest", "oci/v1/oci_manifest", "oci/v1/oci_manifest_config", "oci/v1/verify", "oci/v2/verify"}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			metadata := wasiMetadata
			if c.declared != "" {
				metadata += "hostCapabilities: ['" + c.declared + "']\n"
			}
			r := u.must("annotate", "-m", u.writes("m.yml", metadata), "-o", filepath.Join(u.dir, "out.wasm"), u.writes("data.wasm", moduleWithData(c.data...)))
			var got []string
			for line := range strings.Lines(r.stderr) {
				_, warning, _ := strings.Cut(strings.TrimSpace(line), " ") // the time
				got = append(got, strings.TrimSpace(warning))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestAnnotate_javyImport(t *testing.T) {
	u := newUser(t)
	for name, c := range map[string]struct{ guest, before, after string }{
		"Javy's name":  {"wasi_javy_host_call", "kubewarden:javy/host.call", "host.call"},
		"another name": {"wasi_host_call", "host.call", "host.call"},
	} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			if before := imports(t, guest(t, c.guest)); !slices.Contains(before, c.before) {
				t.Fatalf("the guest imports %q", before)
			}
			if after := imports(t, u.annotated(c.guest, wasiMetadata)); !slices.Contains(after, c.after) || slices.Contains(after, "kubewarden:javy/host.call") {
				t.Errorf("imports %q", after)
			}
		})
	}
}

// FuzzUsedCapabilities: any data gives known capabilities, sorted, each of which occurs.
func FuzzUsedCapabilities(f *testing.F) {
	for _, seed := range []string{"", "oci v1/oci_manifest", "oci v1/oci_manifest_config", "kubernetes", "v1/oci_manifestv1/oci_manifest_configoci"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		used := usedCapabilities([][]byte{data})
		if !slices.IsSorted(used) {
			t.Errorf("not sorted: %q", used)
		}
		for _, path := range used {
			namespace, operation, _ := strings.Cut(path, "/")
			if !bytes.Contains(data, []byte(namespace)) || !bytes.Contains(data, []byte(operation)) {
				t.Errorf("%s does not occur", path)
			}
		}
	})
}

// TestAnnotate_keepsSections holds that sections of others survive.
func TestAnnotate_keepsSections(t *testing.T) {
	u := newUser(t)
	parsed, err := wasm.Parse(read(t, guest(t, "wasi_accepts")))
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(u.dir, "out.wasm")
	u.must("annotate", "-m", u.writes("m.yml", wasiMetadata), "-o", out, u.writes("in.wasm", string(parsed.WithCustom("producers", []byte("wabt")))))
	annotated, err := wasm.Parse(read(t, out))
	if err != nil {
		t.Fatal(err)
	}
	if kept, ok := annotated.Custom("producers"); !ok || string(kept) != "wabt" {
		t.Errorf("got %q, %t", kept, ok)
	}
}
