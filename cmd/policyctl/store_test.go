package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"policy-server/registry"
	"policy-server/registry/verify"
)

// The numbers are those of the compatibility cases of kwctl.

// listed returns the first column of what the command policies prints, and checks that nothing else
// is said.
func (u *user) listed() []string {
	u.t.Helper()
	r := u.must("policies")
	if r.stderr != "" {
		u.t.Errorf("stderr\n%s", r.stderr)
	}
	var uris []string
	for _, found := range regexp.MustCompile(`(?m)^\| (\w+://\S+) `).FindAllStringSubmatch(r.stdout, -1) {
		uris = append(uris, found[1])
	}
	return uris
}

func (u *user) lists(want ...string) {
	u.t.Helper()
	if got := u.listed(); strings.Join(got, " ") != strings.Join(want, " ") {
		u.t.Errorf("listed %q, want %q", got, want)
	}
}

// servesModule starts a web server of one module, which the user trusts as little as any insecure
// host, and returns its URL.
func (u *user) servesModule(module string, insecure ...string) string {
	u.t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(read(u.t, module)) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the first attempt does not like the certificate
	server.StartTLS()
	u.t.Cleanup(server.Close)
	host := server.Listener.Addr().String()
	u.writes(u.places.sources(), "insecure_sources: ['"+strings.Join(append(insecure, host), "', '")+"']\n")
	return "https://" + host + "/my%20policy.wasm"
}

func TestPolicies_case01_emptyStore(t *testing.T) {
	if r := newUser(t).must("policies"); r.stdout != "" || r.stderr != "" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
}

func TestPolicies_case02_case03_case04_listed(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	module := u.annotated("accepts", podMetadata)
	u.pushed(module, host+"/acme/pods:v1")
	u.pushed(module, host+"/acme/others")
	web := u.servesModule(module, host)
	u.must("pull", "registry://"+host+"/acme/pods:v1")
	u.must("pull", "registry://"+host+"/acme/others")
	u.must("pull", web)
	u.lists(web, "registry://"+host+"/acme/others:latest", "registry://"+host+"/acme/pods:v1")
}

func TestPolicies_table(t *testing.T) {
	u := newUser(t)
	store := u.places.storeDir()
	u.writes(filepath.Join(store, "registry/ghcr.io/bare:v1"), string(read(t, guest(t, "accepts"))))
	u.writes(filepath.Join(store, "registry/ghcr.io/acme/pods:v1"), moduleWithData(strings.Repeat("x", 1_590_000)))
	u.writes(filepath.Join(store, "https/git.example/full.wasm"), string(read(t, u.annotated("accepts", strings.Replace(fullMetadata, "mutating: false", "mutating: true", 1)))))
	u.writes(filepath.Join(store, "https/git.example/\x1b[2Jbroken.wasm"), "\x00asm\x01\x00\x00\x00\x63")
	r := u.must("policies")
	lines := strings.Split(r.stdout, "\n")
	const rule = `+-------------------------------------+----------+---------------+--------------+---------+`
	for i, want := range []string{
		0: rule,
		1: "| Policy                              | Mutating | Context aware | SHA-256      | Size    |",
		2: rule,
		3: "| https://git.example/\uFFFD[2Jbroken.wasm | unknown  | no            | ",
		4: "| https://git.example/full.wasm       | yes      | yes           | ",
		5: "| registry://ghcr.io/acme/pods:v1     | unknown  | no            | ",
		6: "| registry://ghcr.io/bare:v1          | unknown  | no            | ",
		7: rule,
		8: "",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Fatalf("line %d is not %q in\n%s", i, want, r.stdout)
		}
	}
	if !strings.HasSuffix(lines[5], "| 1.59 MB |") || !strings.HasSuffix(lines[3], "| 9 B     |") || len(lines) != 9 {
		t.Errorf("got\n%s", r.stdout)
	}
	if !strings.Contains(r.stderr, "WARN kwctl: error processing metadata of a stored policy policy=\"https://git.example/\uFFFD[2Jbroken.wasm\"") || strings.Contains(r.stderr, "\x1b") {
		t.Errorf("stderr\n%s", r.stderr)
	}
}

func TestHumanSize(t *testing.T) {
	for bytes, want := range map[int]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1500: "1.50 kB", 1_590_000: "1.59 MB", 2_000_000: "2 MB", 5_000_000_000_000: "5000 GB"} {
		if got := humanSize(bytes); got != want {
			t.Errorf("%d: %s, want %s", bytes, got, want)
		}
	}
}

func TestRm_case05_case06_case07(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	module := u.annotated("accepts", podMetadata)
	u.pushed(module, host+"/acme/pods:v1")
	uri := "registry://" + host + "/acme/pods:v1"
	for name, argument := range map[string]string{"URI": uri, "bare reference": host + "/acme/pods:v1", "SHA-256": sha256Of(t, module)[:4]} {
		t.Run(name, func(t *testing.T) {
			u := u.in(t)
			u.must("pull", uri)
			if r := u.must("rm", argument); r.stdout != "" || r.stderr != "" {
				t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
			}
			u.lists()
			if left, err := os.ReadDir(u.places.storeDir()); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	stop()
	for name, want := range map[string]string{
		"non-existing":             "Error: Cannot find policy with uri: registry://docker.io/library/non-existing:latest\n",
		uri:                        "Error: Cannot find policy with uri: " + uri + "\n",
		"registry://ghcr.io/p":     "Error: Cannot find policy with uri: registry://ghcr.io/p:latest\n",
		"NO NAME":                  "Error: Cannot find policy with uri: NO NAME\n",
		"":                         "Error: Cannot find policy with uri: \n",
		module:                     "Error: unknown scheme: file\n",
		"ftp://git.example/p.wasm": "Error: unknown scheme: ftp\n",
	} {
		u.does("rm", name).fails(t, want)
	}
}

func sha256Of(t *testing.T, file string) string {
	t.Helper()
	sum, err := registry.StoredModule{File: file}.SHA256()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestRm_ambiguous(t *testing.T) {
	u := newUser(t)
	for _, name := range []string{"one:v1", "two:v1"} {
		u.writes(filepath.Join(u.places.storeDir(), "registry/ghcr.io", name), string(read(t, guest(t, "accepts"))))
	}
	prefix := sha256Of(t, guest(t, "accepts"))[:8]
	r := u.does("rm", prefix)
	r.fails(t, "Error: multiple policies found with the same prefix: "+prefix+"\nHint: use one of the URIs: registry://ghcr.io/one:v1, registry://ghcr.io/two:v1\n")
	u.lists("registry://ghcr.io/one:v1", "registry://ghcr.io/two:v1")
}

func TestSaveLoad_case08(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	module := u.annotated("accepts", podMetadata)
	one, two := "registry://"+host+"/one:v1", u.servesModule(module, host)
	u.pushed(module, host+"/one:v1")
	u.must("pull", one)
	u.must("pull", two)
	archive := filepath.Join(u.dir, "policies.tar.gz")
	for _, args := range [][]string{{"save", "--output", archive, one, two}, {"save", one, two, one, "-o", archive}} {
		if r := u.must(args...); r.stdout != "" || r.stderr != "" {
			t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
		}
	}
	u.must("rm", one)
	u.must("rm", two)
	u.lists()
	if r := u.must("load", "--input", archive); r.stdout != "" || r.stderr != "" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	u.lists(two, one)
	if !bytes.Equal(read(t, filepath.Join(u.places.storeDir(), "registry", host, "one:v1")), read(t, module)) {
		t.Error("another module was loaded")
	}
}

// TestSave_link holds that a link to a file, and what is no file at all, are not replaced by one.
func TestSave_link(t *testing.T) {
	u := newUser(t)
	u.writes(filepath.Join(u.places.storeDir(), "registry/ghcr.io/p:v1"), string(read(t, guest(t, "accepts"))))
	link, file := filepath.Join(u.dir, "link"), u.writes("policies.tar.gz", "old")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	device := filepath.Join(u.dir, "null")
	if err := os.Symlink(os.DevNull, device); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{link, device} {
		u.must("save", "-o", output, "registry://ghcr.io/p:v1")
		if info, err := os.Lstat(output); err != nil || info.Mode().Type() != os.ModeSymlink {
			t.Errorf("%s: %v, %v", output, info.Mode(), err)
		}
	}
	u.must("load", "--input", file)
}

func TestSaveLoad_errors(t *testing.T) {
	u := newUser(t)
	u.writes(filepath.Join(u.places.storeDir(), "registry/ghcr.io/p:v1"), string(read(t, guest(t, "accepts"))))
	const stored = "registry://ghcr.io/p:v1"
	old := u.writes("old.tar.gz", "old")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"save what is not stored":  {[]string{"save", "-o", old, stored, "registry://ghcr.io/q:v1"}, "Error: cannot find policy registry://ghcr.io/q:v1: Cannot find policy with uri: registry://ghcr.io/q:v1\n"},
		"save nothing known":       {[]string{"save", "-o", old, "nothing"}, "Error: Cannot find policy with uri: nothing\n"},
		"save a file":              {[]string{"save", "-o", old, guest(t, "accepts")}, "Error: cannot find policy " + guest(t, "accepts") + ": unknown scheme: file\n"},
		"save to no place":         {[]string{"save", "-o", filepath.Join(u.dir, "none", "a"), stored}, "Error: cannot create file " + filepath.Join(u.dir, "none", "a") + ": No such file or directory\n"},
		"save over a directory":    {[]string{"save", "-o", u.dir, stored}, "Error: cannot create file " + u.dir + ": "},
		"load what is missing":     {[]string{"load", "--input", "none.tar.gz"}, "Error: cannot open file none.tar.gz: No such file or directory\n"},
		"load what is no archive":  {[]string{"load", "--input", old}, "Error: cannot unpack file " + old + ": "},
		"load a directory instead": {[]string{"load", "--input", u.dir}, "Error: cannot unpack file " + u.dir + ": "},
	} {
		t.Run(name, func(t *testing.T) { u.does(c.args...).fails(t, c.want) })
	}
	if got := string(read(t, old)); got != "old" {
		t.Errorf("a save that failed left %q", got)
	}
	for _, dir := range []string{u.dir, filepath.Dir(u.dir)} {
		if left, err := filepath.Glob(filepath.Join(dir, ".partial-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestDigest_case09(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	digest := u.pushed(u.annotated("accepts", podMetadata), host+"/pods:v1").DigestStr()
	for _, uri := range []string{"registry://" + host + "/pods:v1", host + "/pods:v1", host + "/pods@" + digest} {
		if r := u.must("digest", uri); r.stdout != uri+"@"+digest+"\n" || r.stderr != "" {
			t.Errorf("%s: stdout %q, stderr %q", uri, r.stdout, r.stderr)
		}
	}
	u.lists()
	for uri, want := range map[string]string{
		host + "/none:v1":         "Error: fetch \"registry://" + host + "/none:v1\": ",
		"https://git.example/p":   "only modules in a registry can be verified",
		"registry://UPPER":        "Error: Invalid OCI image reference: ",
		"ftp://git.example/p:v1":  "Error: unknown scheme: ftp",
		"file:///tmp/policy.wasm": "is not in a registry",
	} {
		u.does("digest", uri).fails(t, want)
	}
}

func TestScaffoldVerificationConfig_case82(t *testing.T) {
	u := newUser(t)
	r := u.must("scaffold", "verification-config")
	if r.stderr != "" || !strings.HasSuffix(r.stdout, "\napiVersion: v1\nallOf:\n- kind: githubAction\n  owner: kubewarden\n  repo: null\n  annotations: null\nanyOf: null\n\n") ||
		!strings.Contains(r.stdout, "\n#   "+u.places.verification()+"\n") {
		t.Errorf("stderr %q, stdout\n%s", r.stderr, r.stdout)
	}
	config, err := verify.ParseConfig([]byte(r.stdout))
	if err != nil {
		t.Fatal(err)
	}
	if len(config.AllOf) != 1 || !reflect.DeepEqual(config.AllOf[0], verify.GithubAction{Owner: "kubewarden"}) {
		t.Errorf("it says %+v", config)
	}
}

func TestCompletions(t *testing.T) {
	u := newUser(t)
	for shell, want := range map[string]string{"bash": "__start_kwctl", "fish": "complete -c kwctl", "powershell": "Register-ArgumentCompleter", "zsh": "#compdef kwctl"} {
		if r := u.must("completions", "-s", shell); r.stderr != "" || !strings.Contains(r.stdout, want) {
			t.Errorf("%s: stderr %q, stdout\n%.400s", shell, r.stderr, r.stdout)
		}
	}
	if r := u.must("__complete", "pu"); !strings.HasPrefix(r.stdout, "pull\tDownload a policy into the local store\npush\t") {
		t.Errorf("stdout\n%s", r.stdout)
	}
}

// TestAirGap_case86 goes the way of the air-gap scripts: pull and save here, load and push there.
func TestAirGap_case86(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	module := u.annotated("accepts", podMetadata)
	u.pushed(module, host+"/acme/pods:v1")
	web := u.servesModule(module, host)
	image, archive := "registry://"+host+"/acme/pods:v1", filepath.Join(u.dir, "policies.tar.gz")
	u.must("pull", image+" ") // a list may have trailing blanks
	u.must("pull", web)
	u.must("save", image, web, "--output", archive)
	stop()

	there := newUser(t)
	private, _ := there.startsRegistry()
	there.must("load", "--input", archive)
	there.lists(web, image)
	sources := there.writes("sources.yml", "insecure_sources: ['"+private+"']\n")
	for _, uri := range []string{image, web} {
		_, path, _ := strings.Cut(strings.SplitN(uri, "://", 2)[1], "/")
		target := "registry://" + private + "/" + strings.ReplaceAll(path, "%20", "-")
		there.must("push", uri, target, "--sources-path", sources)
		there.must("pull", target, "--sources-path", sources)
		there.must("run", "-r", there.writes("request.json", podRequest), target)
	}
}
