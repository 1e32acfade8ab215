package real

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	alice    = "alice@example.test"
	workflow = "https://github.com/acme/app/.github/workflows/build.yml@refs/heads/main"
	password = "COSIGN_PASSWORD=throwaway"
)

// TestSignedElsewhereVerifiesHere signs with cosign 2 and 3 in every way they have, stops every
// service, and lets policyctl and the server verify.
func TestSignedElsewhereVerifiesHere(t *testing.T) {
	services := startSigstore(t)
	keys := newCosignKeys(t)
	signatures := cosignSignatures(t, services, keys)
	hosts := map[string]string{"referrers": startRegistry(t, true), "no referrers": startRegistry(t, false)}

	signed := map[string]map[string]artifact{}
	for kind, host := range hosts {
		signed[kind] = map[string]artifact{}
		for _, s := range signatures {
			signed[kind][s.name] = push(t, host, s.name)
			s.sign(t, host, signed[kind][s.name].reference)
		}
	}
	services.stop()

	for kind, host := range hosts {
		t.Run(kind, func(t *testing.T) {
			for _, s := range signatures {
				t.Run(s.name, func(t *testing.T) { checkVerdicts(t, services, host, signed[kind][s.name], s) })
			}
			t.Run("server", func(t *testing.T) { serveAll(t, services, host, signed[kind], signatures) })
		})
	}
}

// TestSignedHereVerifiesElsewhere signs with policyctl in every way it has, stops every service,
// and lets cosign verify.
func TestSignedHereVerifiesElsewhere(t *testing.T) {
	services := startSigstore(t)
	keys := newCosignKeys(t)
	signatures := ourSignatures(t, services, keys)
	for _, referrers := range []bool{true, false} {
		host := startRegistry(t, referrers)
		for _, s := range signatures {
			name := fmt.Sprintf("%s-%t", s.name, referrers)
			a := push(t, host, name)
			s.sign(t, host, a.reference)
			t.Run(name, func(t *testing.T) {
				command{args: append(s.verify, a.reference)}.must(t)
				checkVerdicts(t, services, host, a, s)
			})
		}
	}
}

// checkVerdicts lets policyctl verify a against what it was signed with and what it was not.
func checkVerdicts(t *testing.T, services *sigstore, host string, a artifact, s signature) {
	t.Helper()
	verify := func(entry string) (string, bool) {
		return policyctl(t, "verify", "--sources-path", sources(t, host), "--sigstore-trust-config", services.trustedRoot,
			"--verification-config-path", verification(t, entry), a.reference).run(t)
	}
	output, ok := verify(s.constraint)
	switch {
	case s.refused != "" && (ok || !strings.Contains(output, s.refused)):
		t.Errorf("want a refusal for %q, got:\n%s", s.refused, output)
	case s.refused == "" && !ok:
		t.Errorf("refused:\n%s", output)
	}
	if output, ok := verify(s.other); ok || !strings.Contains(output, "Image verification failed: missing signatures") {
		t.Errorf("want a refusal of\n%s\ngot:\n%s", s.other, output)
	}
}

// serveAll starts the server with every accepted artifact as a policy, and asks each for an answer.
func serveAll(t *testing.T, services *sigstore, host string, signed map[string]artifact, signatures []signature) {
	var policies, entries strings.Builder
	var names []string
	for _, s := range signatures {
		if s.refused != "" {
			continue
		}
		names = append(names, s.name)
		fmt.Fprintf(&policies, "%s:\n  module: registry://%s\n", s.name, signed[s.name].reference)
		entries.WriteString("  " + strings.ReplaceAll(indent(s.constraint), "\n", "\n  ") + "\n")
	}
	folder := t.TempDir()
	port := freePort(t)
	p := start(t, "policy-server", filepath.Join(absolute(t, binFolder), "policy-server"),
		"--addr", "127.0.0.1", "--port", port, "--readiness-probe-port", freePort(t), "--policies-download-dir", folder,
		"--sources-path", sources(t, host), "--sigstore-trust-config", services.trustedRoot,
		"--policies", write(t, filepath.Join(folder, "policies.yml"), []byte(policies.String())),
		"--verification-path", write(t, filepath.Join(folder, "verification.yml"),
			[]byte("apiVersion: v1\nanyOf:\n  minimumMatches: 1\n  signatures:\n"+entries.String())))
	p.printed(t, "server listening")
	for _, name := range names {
		if answer := post(t, "http://127.0.0.1:"+port+"/validate/"+name, review); !strings.Contains(answer, `"allowed":true`) {
			t.Errorf("%s answered %s", name, answer)
		}
	}
}

const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"group":"","version":"v1","kind":"Pod"},
"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","userInfo":{},
"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`

// cosignKeys is a key pair made by cosign, and another one that signs nothing.
type cosignKeys struct{ private, public, other string }

func newCosignKeys(t *testing.T) cosignKeys {
	t.Helper()
	pair := func() string {
		prefix := filepath.Join(t.TempDir(), "cosign")
		command{env: []string{password}, args: []string{cosign2.path(), "generate-key-pair", "--output-key-prefix", prefix}}.must(t)
		return prefix
	}
	prefix := pair()
	return cosignKeys{private: prefix + ".key", public: prefix + ".pub", other: pair() + ".pub"}
}

func keyEntry(t *testing.T, public string) string {
	t.Helper()
	pem, err := os.ReadFile(public)
	if err != nil {
		t.Fatal(err)
	}
	return "kind: pubKey\nkey: |\n  " + strings.ReplaceAll(strings.TrimSpace(string(pem)), "\n", "\n  ") + "\n"
}

func issuerEntry(issuer, demand, subject string) string {
	return fmt.Sprintf("kind: genericIssuer\nissuer: %s\nsubject:\n  %s: %s\n", issuer, demand, subject)
}
