package main

import (
	"path/filepath"
	"strings"
	"testing"

	"policy-server/internal/testing/sigstoretest"
)

// testKey signed nothing.
const testKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQiTy5S+2JFvVlhUwWPLziM7iTM2j
byLgh2IjpNQN0Uio/9pZOTP/CsJmXoUNshfpTUHd3OxgHgz/6adtf2nBwQ==
-----END PUBLIC KEY-----
`

// TestVerification runs every way of asking for signatures through every command that verifies, on
// a policy signed twice.
func TestVerification_case83_case84(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	uri := host + "/signed:v1"
	digest := u.pushed(u.annotated("accepts", podMetadata), uri)
	one := u.signs(digest, "1.pub", map[string]string{"env": "prod", "stable": "true"})
	two := u.signs(digest, "2.pub", map[string]string{"env": "prod"})
	three := u.writes("3.pub", testKey)
	config := u.writes("verification.yml", "apiVersion: v1\nanyOf:\n  signatures:\n  - {kind: pubKey, key: "+quoted(testKey)+"}\n  - {kind: pubKey, key: "+quoted(string(read(t, two)))+"}\n")
	others := u.writes("others.yml", "apiVersion: v1\nallOf:\n- {kind: pubKey, key: "+quoted(testKey)+"}\n- {kind: pubKey, key: "+quoted(testKey)+", annotations: {env: prod}}\n")
	trustConfig := u.signsKeyless(digest, sigstoretest.Workflow("alice/policy"), map[string]string{"env": "prod"})
	keyless := func(flags ...string) []string { return append(flags, "--sigstore-trust-config", trustConfig) }
	workflow := sigstoretest.Workflow("alice/policy").URI
	for name, c := range map[string]struct {
		flags   []string
		failure string // "" for success
	}{
		"one key":                   {[]string{"-k", one}, ""},
		"key and its annotations":   {[]string{"-k", one, "-a", "env=prod", "-a", "stable=true"}, ""},
		"both keys, what they have": {[]string{"--verification-key", one, "-k", two, "--verification-annotation", "env=prod"}, ""},
		"the last annotation wins":  {[]string{"-k", one, "-a", "env=test", "-a", "env=prod"}, ""},
		"by digest":                 {[]string{"-k", two, "-a", "env=prod"}, ""},
		"config":                    {[]string{"--verification-config-path", config}, ""},
		"config of others":          {[]string{"--verification-config-path", others}, "Image verification failed: missing signatures"},
		"annotations missing":       {[]string{"-k", two, "-a", "env=prod", "-a", "stable=true"}, "Image verification failed: missing signatures"},
		"one key of two":            {[]string{"-k", one, "-k", three, "-a", "env=prod"}, "Image verification failed: missing signatures"},
		"missing key":               {[]string{"-k", "none.pub", "-a", "env=prod"}, "Error: could not read file none.pub: No such file or directory"},
		"no key":                    {[]string{"-k", config}, "Error: verification key " + config + ": no PEM block"},
		"annotations only":          {[]string{"-a", "env=prod"}, "Error: Intending to verify annotations, but no verification keys, OIDC issuer or GitHub owner were passed\n"},
		"repo only":                 {[]string{"-a", "env=prod", "--github-repo", "r"}, "Error: Intending to verify GitHub actions signature, but the repository owner is missing.\n"},
		"email only":                {[]string{"--cert-email", "a@b"}, "Error: Intending to verify OIDC issuer, but no email or issuer were provided. You must pass the email and OIDC issuer to be validated together \n"},
		"issuer only":               {[]string{"-k", one, "--cert-oidc-issuer", "https://i"}, "Error: Intending to verify OIDC issuer, but no email or issuer were provided. "},
		"config and key":            {[]string{"-k", one, "--verification-config-path", config}, "Error: verification-config-path cannot be used in conjunction with other verification flags\n"},
		"missing config":            {[]string{"--verification-config-path", "none.yml"}, "Error: failed to read verification file none.yml: No such file or directory"},
		"broken config":             {[]string{"--verification-config-path", u.writes("b.yml", "allOf: 7\n")}, "Not a valid configuration file: allOf: want a list"},
		"workflow":                  {keyless("--cert-email", workflow, "--cert-oidc-issuer", sigstoretest.GitHubIssuer), ""},
		"repository":                {keyless("--github-owner", "alice", "--github-repo", "policy", "-a", "env=prod"), ""},
		"owner and key":             {keyless("--github-owner", "alice", "-k", one), ""},
		"another identity":          {keyless("--cert-email", "a@b", "--cert-oidc-issuer", "https://i"), "wrong identity: got subject " + quoted(workflow)},
		"another owner":             {keyless("--github-owner", "bob", "--github-repo", "policy"), "wrong identity: got subject " + quoted(workflow)},
		"no trust root":             {[]string{"--github-owner", "o", "--sigstore-trust-config", config}, "Error: could not parse Sigstore trust config file " + config + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			for command, args := range map[string][]string{
				"verify": {"verify", uri},
				"pull":   {"pull", uri},
				"run":    {"run", "-r", u.writes("request.json", podRequest), "registry://" + uri},
			} {
				t.Run(command, func(t *testing.T) {
					t.Setenv("XDG_CACHE_HOME", t.TempDir())
					r := u.in(t).does(append(args, c.flags...)...)
					if c.failure != "" {
						r.fails(t, c.failure)
						return
					}
					wantStdout := ""
					if command == "run" {
						wantStdout = podAllowed
					}
					if r.code != 0 || r.stdout != wantStdout || !strings.Contains(r.stderr, " INFO kwctl: Policy successfully verified digest="+quoted(digest.Name())) {
						t.Errorf("exit code %d, stdout %q, stderr\n%s", r.code, r.stdout, r.stderr)
					}
					if checked := strings.Contains(r.stderr, "Local file checksum verification passed") && strings.Contains(r.stderr, "Local checksum successfully verified"); checked != (command != "verify") {
						t.Errorf("stderr\n%s", r.stderr)
					}
				})
			}
		})
	}
	u.must("verify", "-k", one, "registry://"+digest.Name())
	signed := u.must("verify", "--github-owner", "alice", "--sigstore-trust-config", trustConfig, uri)
	for _, want := range []string{`signature accepted constraint="allOf[0]" signature="bundle 0 (`, `GitHub repository \"alice/policy\" at \"refs/tags/v1\"`} {
		if !strings.Contains(signed.stderr, want) {
			t.Errorf("stderr lacks %s:\n%s", want, signed.stderr)
		}
	}
}

func quoted(text string) string {
	return `"` + strings.ReplaceAll(text, "\n", `\n`) + `"`
}

func TestVerify_errors(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	key := u.writes("k.pub", testKey)
	u.pushed(u.annotated("accepts", podMetadata), host+"/pods:v1")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing asked for": {[]string{host + "/pods:v1"}, "Error: could not retrieve sigstore options\nHint: say who must have signed the policy: "},
		"unsafe":            {[]string{"--allow-unsigned-unsafe", host + "/pods:v1"}, "Error: could not retrieve sigstore options"},
		"unsigned":          {[]string{"-k", key, "registry://" + host + "/pods:v1"}, "Error: Policy registry://" + host + "/pods:v1 cannot be validated\nImage verification failed: missing signatures\n"},
		"says what to do":   {[]string{"-k", key, host + "/pods:v1"}, "\nHint: sign " + host + "/pods@sha256:"},
		"download":          {[]string{"-k", key, "https://" + host + "/p.wasm"}, "only modules in a registry can be verified"},
		"missing":           {[]string{"-k", key, host + "/none:v1"}, `Error: fetch "registry://` + host + `/none:v1": `},
		"no reference":      {[]string{"-k", key, "UPPER"}, "Error: Invalid OCI image reference: "},
	} {
		t.Run(name, func(t *testing.T) { u.does(append([]string{"verify"}, c.args...)...).fails(t, c.want) })
	}
}

// TestDefaultVerification holds that the file in the default place counts for every command, unless
// it is told not to.
func TestDefaultVerification(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	uri := "registry://" + host + "/pods:v1"
	accepts := u.annotated("accepts", podMetadata)
	digest := u.pushed(accepts, uri)
	key := u.signs(digest, "k.pub", nil)
	file := u.writes(u.places.verification(), "apiVersion: v1\nallOf:\n- {kind: pubKey, key: "+quoted(string(read(t, key)))+"}\n")
	request := u.writes("request.json", podRequest)
	used := ` INFO kwctl: Default verification config present, using it file="` + file + `"`
	for name, args := range map[string][]string{
		"verify": {"verify", uri},
		"pull":   {"pull", uri},
		"run":    {"run", "-r", request, uri},
	} {
		t.Run(name, func(t *testing.T) {
			if r := u.in(t).must(args...); !strings.Contains(r.stderr, used) || !strings.Contains(r.stderr, "Policy successfully verified") {
				t.Errorf("stderr\n%s", r.stderr)
			}
		})
	}
	t.Run("other than flags ask for", func(t *testing.T) {
		u.does("verify", "-k", u.writes("3.pub", testKey), uri).fails(t, "missing signatures")
	})
	t.Run("run of a file", func(t *testing.T) {
		r := u.does("run", "-r", request, accepts)
		r.fails(t, "only modules in a registry can be verified\nverified by the verification config in its default place: "+file)
		r.fails(t, "\nHint: nobody asked for a verification but the file "+file+": --allow-unsigned-unsafe does without it once")
	})
	t.Run("run of a file without it", func(t *testing.T) {
		r := u.in(t).must("run", "--allow-unsigned-unsafe", "-r", request, accepts)
		if r.stdout != podAllowed || !strings.Contains(r.stderr, "WARN kwctl: policies are not verified: --allow-unsigned-unsafe") {
			t.Errorf("stdout %q, stderr\n%s", r.stdout, r.stderr)
		}
	})
}

// TestVerification_storedFile holds that a stored file is not run when it is not what the verified
// manifest promises.
func TestVerification_storedFile(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	uri := "registry://" + host + "/pods:v1"
	digest := u.pushed(u.annotated("accepts", podMetadata), uri)
	key := u.signs(digest, "k.pub", nil)
	stored := u.writes(filepath.Join(u.places.storeDir(), "registry", host, "pods:v1"), string(read(t, u.annotated("rejects", podMetadata))))
	request := u.writes("request.json", podRequest)
	if r := u.must("run", "-r", request, uri); !strings.Contains(r.stdout, `"allowed":false`) {
		t.Fatalf("the forged file is not used at all: %s", r.stdout)
	}
	if r := u.must("run", "-k", key, "-r", request, uri); r.stdout != podAllowed {
		t.Errorf("stdout %q", r.stdout)
	}
	if metadataOf(t, stored).ProtocolVersion != "v1" || u.must("run", "-r", request, uri).stdout != podAllowed {
		t.Error("the forged file was not replaced")
	}
}

// TestVerification_offline holds that what was pulled by digest can be used without its registry,
// that this is said, and that verify never speaks for a registry that it did not ask.
func TestVerification_offline(t *testing.T) {
	u := newUser(t)
	host, stop := u.startsRegistry()
	digest := u.pushed(u.annotated("accepts", podMetadata), host+"/signed:v1")
	key, stranger := u.signs(digest, "1.pub", nil), u.writes("2.pub", testKey)
	uri, request := "registry://"+digest.Name(), u.writes("request.json", podRequest)
	u.must("pull", "-k", key, uri)
	stop()
	for _, args := range [][]string{{"pull"}, {"run", "-r", request}} {
		r := u.must(append(args, "-k", key, uri)...)
		if !strings.Contains(r.stderr, "Policy successfully verified") || !strings.Contains(r.stderr, "the registry cannot be reached: the stored signatures were verified") {
			t.Errorf("%s: %s", args[0], r.stderr)
		}
	}
	u.does("pull", "-k", stranger, uri).fails(t, "do not suffice: Image verification failed: missing signatures")
	u.does("verify", "-k", key, uri).fails(t, "connection refused")
}
