package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/internal/testing/sigstorehttp"
)

// writesKey makes a key pair, FILE.key and FILE.pub, and returns the path of the private key. It is
// not encrypted, which saves time.
func (u *user) writesKey(file string) string {
	u.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		u.t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		u.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		u.t.Fatal(err)
	}
	u.writes(strings.TrimSuffix(file, ".key")+".pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	return u.writes(file, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
}

// TestSign_key makes a key pair, signs a policy with it and verifies it: all there is between an
// author and an operator.
func TestSign_key(t *testing.T) {
	u := newUser(t)
	t.Setenv("COSIGN_PASSWORD", "a secret")
	host, _ := u.startsRegistry()
	uri := host + "/acme/pods:v1"
	digest := u.pushed(u.annotated("accepts", podMetadata), uri)
	t.Chdir(u.dir)
	if r := u.must("generate-key-pair"); r.stdout != "cosign.key\ncosign.pub\n" || r.stderr != "" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	if info, err := os.Stat("cosign.key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	u.does("generate-key-pair").fails(t, "Error: cannot create file cosign.key: File exists\nHint: name another pair with --output-key-prefix, ")
	u.writes("half.pub", "somebody's")
	u.does("generate-key-pair", "--output-key-prefix", "half").fails(t, "Error: cannot create file half.pub: File exists")
	if _, err := os.Stat("half.key"); !os.IsNotExist(err) {
		t.Errorf("half a pair was made: %v", err)
	}
	r := u.must("sign", "--key", "cosign.key", "--layout", "legacy", "-a", "env=prod", "-a", "stable=true", uri)
	if r.stdout != "Policy successfully signed: "+digest.Name()+"\n" ||
		!strings.Contains(r.stderr, `INFO kwctl: signed digest="`+digest.Name()+`" layout="legacy" key="sha256:`) || strings.Contains(r.stderr, "logIndex") {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	u.must("verify", "-k", "cosign.pub", "-a", "env=prod", "-a", "stable=true", uri)
	u.does("verify", "-k", "cosign.pub", "-a", "env=test", uri).fails(t, "Image verification failed: missing signatures")

	t.Setenv("COSIGN_PASSWORD", "another")
	u.does("sign", "--key", "cosign.key", uri).fails(t, "Error: key cosign.key: the password does not open the private key: encrypted: decryption failed\nHint: the password tried is the one in COSIGN_PASSWORD;")
}

// TestSign_layouts holds where each layout puts a signature.
func TestSign_layouts(t *testing.T) {
	u := newUser(t)
	host, _ := u.startsRegistry()
	key := u.writesKey("k.key")
	for layout, tag := range map[string]string{"": "", "bundle": "", "legacy": ".sig"} {
		uri := host + "/" + "pods" + layout + ":v1"
		digest := u.pushed(u.annotated("accepts", podMetadata), uri)
		args := []string{"sign", "--key", key, "registry://" + uri}
		if layout != "" {
			args = append(args, "--layout", layout)
		}
		u.must(args...)
		// This registry has no list of referrers: a tag stands for it.
		u.must("digest", digest.Context().Tag(strings.Replace(digest.DigestStr(), ":", "-", 1)+tag).Name())
	}
}

func TestSign_keyless(t *testing.T) {
	u := newUser(t)
	services, err := sigstorehttp.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(services.Close)
	host, _ := u.startsRegistry()
	uri := host + "/pods:v1"
	u.pushed(u.annotated("accepts", podMetadata), uri)
	token := sigstorehttp.Token("alice@example.com")
	identity := `identity="alice@example.com" issuer="` + sigstorehttp.Issuer + `"`
	for name, c := range map[string]struct {
		args    []string
		env     string
		witness string
	}{
		"log":            {[]string{"--identity-token", token, "--rekor-url", services.RekorURL}, "", " logIndex="},
		"token file":     {[]string{"--identity-token", u.writes("token.jwt", token+"\n"), "--rekor-url", services.RekorURL}, "", " logIndex="},
		"token variable": {[]string{"--timestamp-url", services.TimestampURL, "--layout", "legacy"}, token, " timestamps=1"},
		"no log":         {[]string{"--identity-token", token, "--timestamp-url", services.TimestampURL, "--rekor-url", services.RekorURL, "--tlog-upload=false"}, "", " timestamps=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SIGSTORE_ID_TOKEN", c.env)
			r := u.in(t).must(append([]string{"sign", "--fulcio-url", services.FulcioURL, uri}, c.args...)...)
			if !strings.Contains(r.stderr, identity+c.witness) || strings.Contains(r.stderr, token) {
				t.Errorf("stderr\n%s", r.stderr)
			}
		})
	}
}

// TestSign_log holds that a key's signature is logged when a log is named, and only then.
func TestSign_log(t *testing.T) {
	u := newUser(t)
	services, err := sigstorehttp.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(services.Close)
	host, _ := u.startsRegistry()
	u.pushed(u.annotated("accepts", podMetadata), host+"/pods:v1")
	key := u.writesKey("k.key")
	for flags, want := range map[string]bool{"": false, "--tlog-upload=false": false, "--rekor-url=" + services.RekorURL: true, "--tlog-upload --rekor-url=" + services.RekorURL: true, "--tlog-upload=false --rekor-url=" + services.RekorURL: false} {
		r := u.must(append([]string{"sign", "--key", key, host + "/pods:v1"}, strings.Fields(flags)...)...)
		if logged := strings.Contains(r.stderr, " logIndex="); logged != want {
			t.Errorf("%q: logged: %t", flags, logged)
		}
	}
}

func TestSign_errors(t *testing.T) {
	u := newUser(t)
	t.Setenv("SIGSTORE_ID_TOKEN", "")
	host, _ := u.startsRegistry()
	uri := host + "/pods:v1"
	key := u.writesKey("k.key")
	public := strings.TrimSuffix(key, ".key") + ".pub"
	u.pushed(u.annotated("accepts", podMetadata), uri)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nobody":               {[]string{uri}, "not provided:\n  --key <FILE> or --identity-token <TOKEN>"},
		"two":                  {[]string{uri, "--key", key, "--identity-token", "a.b.c"}, "the argument '--key' cannot be used with '--identity-token'"},
		"no Fulcio":            {[]string{uri, "--identity-token", "a.b.c", "--rekor-url", "https://rekor.test"}, "not provided:\n  --fulcio-url <URL>"},
		"no witness":           {[]string{uri, "--identity-token", "a.b.c", "--fulcio-url", "https://fulcio.test"}, "not provided:\n  --rekor-url <URL> or --timestamp-url <URL>"},
		"no witness after all": {[]string{uri, "--identity-token", "a.b.c", "--fulcio-url", "https://fulcio.test", "--rekor-url", "https://rekor.test", "--tlog-upload=false"}, "not provided:\n  --rekor-url <URL> or --timestamp-url <URL>"},
		"no log to upload to":  {[]string{uri, "--key", key, "--tlog-upload"}, "not provided:\n  --rekor-url <URL>"},
		"unknown layout":       {[]string{uri, "--key", key, "--layout", "tag"}, "[possible values: bundle, legacy]"},
		"annotation without =": {[]string{uri, "--key", key, "-a", "env"}, "invalid value 'env' for '--annotation <KEY=VALUE>'"},
		"nothing to be signed": {[]string{"--key", key}, "not provided:\n  <URI>"},
		"several to be signed": {[]string{"--key", key, uri, uri}, "unexpected argument '" + uri + "' found"},
	} {
		t.Run(name, func(t *testing.T) { u.does(append([]string{"sign"}, c.args...)...).refuses(t, c.want) })
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"missing key":     {[]string{"--key", "none.key", uri}, "Error: could not read file none.key: No such file or directory"},
		"public key":      {[]string{"--key", public, uri}, `Error: key ` + public + `: PEM block "PUBLIC KEY"; want a private key`},
		"missing token":   {[]string{"--identity-token", "none.jwt", uri}, "Error: identity token: neither a token nor a file that can be read: No such file or directory"},
		"missing policy":  {[]string{"--key", key, host + "/none:v1"}, "Error: fetch \"registry://" + host + "/none:v1\": "},
		"a file":          {[]string{"--key", key, "file://" + key}, "is not in a registry"},
		"no Fulcio there": {[]string{"--identity-token", sigstorehttp.Token("a@b"), "--fulcio-url", "http://" + host, "--rekor-url", "http://" + host, uri}, "certificate authority http://" + host + ": "},
	} {
		t.Run(name, func(t *testing.T) { u.does(append([]string{"sign"}, c.args...)...).fails(t, c.want) })
	}
}

// TestSign_noPassword holds that a password nobody can be asked for is asked for by name.
func TestSign_noPassword(t *testing.T) {
	u := newUser(t)
	t.Setenv("COSIGN_PASSWORD", "")
	prefix := filepath.Join(u.dir, "k")
	u.must("generate-key-pair", "--output-key-prefix", prefix)
	if err := os.Unsetenv("COSIGN_PASSWORD"); err != nil { // t.Setenv restores it
		t.Fatal(err)
	}
	hint := "Hint: set COSIGN_PASSWORD, to nothing if the key has none, or run the command in a terminal\n"
	u.does("sign", "--key", prefix+".key", "ghcr.io/acme/pods:v1").fails(t, hint)
	u.does("generate-key-pair", "--output-key-prefix", prefix+"2").fails(t, hint)
}
