//go:build cosign

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/internal/testing/guests"
	"policy-server/internal/testing/sigstorehttp"
)

// signatures is a program that makes key pairs, signs and verifies. Its arguments are a key pair,
// without the extensions of its two files, a layout, and a reference by digest.
type signatures struct {
	generate func(pair string) error
	sign     func(pair, layout, reference string) error
	verify   func(pair, layout, reference string) error
}

// TestCosign holds that cosign and policyctl can use each other's keys and accept each other's
// signatures, and nobody else's. It wants cosign itself, which make test-cosign builds.
func TestCosign(t *testing.T) {
	t.Setenv("COSIGN_PASSWORD", "a secret")
	t.Setenv("HOME", t.TempDir()) // cosign keeps its caches there
	host, folder := startsRegistry(t), t.TempDir()
	sources := writeIn(t, folder, "sources.yml", "insecure_sources: ['"+host+"']\n")
	module := writeIn(t, folder, "module.wasm", string(guests.Module(t, "accepts")))
	_, trusted := startsSigstore(t, folder)
	programs := map[string]signatures{"cosign": cosign(t, trusted), "policyctl": ours(t, sources)}
	pairs := map[string]string{}
	for name, p := range programs {
		pairs[name] = filepath.Join(folder, name)
		if err := p.generate(pairs[name]); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ signer, verifier, layout string }{
		{"policyctl", "cosign", "legacy"},
		{"policyctl", "cosign", "bundle"},
		{"cosign", "policyctl", "legacy"},
		{"cosign", "policyctl", "bundle"},
	} {
		for maker, other := range map[string]string{"cosign": "policyctl", "policyctl": "cosign"} {
			t.Run(fmt.Sprintf("signed by %s for %s, %s, key of %s", c.signer, c.verifier, c.layout, maker), func(t *testing.T) {
				reference := pushes(t, sources, module, host+"/"+strings.Join([]string{c.signer, c.layout, maker}, "-"))
				if err := programs[c.signer].sign(pairs[maker], c.layout, reference); err != nil {
					t.Fatal(err)
				}
				if err := programs[c.verifier].verify(pairs[maker], c.layout, reference); err != nil {
					t.Error(err)
				}
				if programs[c.verifier].verify(pairs[other], c.layout, reference) == nil {
					t.Error("the signature of another key is accepted")
				}
			})
		}
	}
}

// callCosign runs the program that make test-cosign builds.
func callCosign(t *testing.T, args ...string) error {
	output, err := exec.CommandContext(t.Context(), "../../build/tools/cosign", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cosign %v: %w\n%s", args, err, output)
	}
	return nil
}

// cosign is told to keep away from the public transparency log and the public trust root.
func cosign(t *testing.T, trusted string) signatures {
	signing := map[string][]string{"bundle": {"--new-bundle-format=true"}, "legacy": {"--new-bundle-format=false"}}
	verifying := map[string][]string{"bundle": {"--new-bundle-format=true", "--trusted-root", trusted}, "legacy": {"--new-bundle-format=false"}}
	return signatures{
		generate: func(pair string) error { return callCosign(t, "generate-key-pair", "--output-key-prefix", pair) },
		sign: func(pair, layout, reference string) error {
			return callCosign(t, append([]string{"sign", "--yes", "--tlog-upload=false", "--key", pair + ".key", reference}, signing[layout]...)...)
		},
		verify: func(pair, layout, reference string) error {
			return callCosign(t, append([]string{"verify", "--insecure-ignore-tlog", "--key", pair + ".pub", reference}, verifying[layout]...)...)
		},
	}
}

func ours(t *testing.T, sources string) signatures {
	call := func(args ...string) error {
		if _, stderr, code := policyctl(t, args...); code != 0 {
			return fmt.Errorf("policyctl %v: exit code %d\n%s", args, code, stderr)
		}
		return nil
	}
	return signatures{
		generate: func(pair string) error { return call("generate-key-pair", "--output-key-prefix", pair) },
		sign: func(pair, layout, reference string) error {
			return call("sign", "--sources-path", sources, "--key", pair+".key", "--layout", layout, reference)
		},
		verify: func(pair, _, reference string) error {
			return call("verify", "--sources-path", sources, "-k", pair+".pub", reference)
		},
	}
}

// TestCosign_keyless holds that cosign accepts what policyctl signs with an identity.
func TestCosign_keyless(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	host, folder := startsRegistry(t), t.TempDir()
	sources := writeIn(t, folder, "sources.yml", "insecure_sources: ['"+host+"']\n")
	services, trusted := startsSigstore(t, folder)
	reference := pushes(t, sources, writeIn(t, folder, "module.wasm", string(guests.Module(t, "accepts"))), host+"/pods")
	_, stderr, code := policyctl(t, "sign", "--sources-path", sources, "--identity-token", sigstorehttp.Token("alice@example.com"),
		"--fulcio-url", services.FulcioURL, "--rekor-url", services.RekorURL, reference)
	if code != 0 {
		t.Fatal(stderr)
	}
	for name, accepted := range map[string]bool{"alice@example.com": true, "mallory@example.com": false} {
		err := callCosign(t, "verify", "--new-bundle-format", "--trusted-root", trusted, "--insecure-ignore-sct",
			"--certificate-oidc-issuer", sigstorehttp.Issuer, "--certificate-identity", name, reference)
		if (err == nil) != accepted {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// startsSigstore starts a private Sigstore and writes down what those must trust who verify.
func startsSigstore(t *testing.T, folder string) (services *sigstorehttp.Services, trusted string) {
	t.Helper()
	services, err := sigstorehttp.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(services.Close)
	document, err := services.Authority.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	return services, writeIn(t, folder, "trusted_root.json", string(document))
}
