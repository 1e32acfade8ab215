package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/internal/testing/signer"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/sign"
)

// station is a server with a store that outlives it, and a policy called p of a registry that may
// go away.
type station struct {
	*world
	digest name.Digest
	files  map[string]string
	store  string
}

// newStation publishes p, signs it, and serves it once while the registry is there.
func newStation(t *testing.T, signs func(t *testing.T, s *station)) *station {
	t.Helper()
	s := &station{world: newWorld(t), store: t.TempDir()}
	s.digest = s.push(t, "p", "accepts")
	s.files = s.world.files("")
	s.files["policies"] = fmt.Sprintf("p: {module: 'registry://%s'}\n", s.digest.Name())
	signs(t, s)
	served := s.serves(t)
	if strings.Contains(served.output.String(), " WARN ") {
		t.Errorf("warned with the registry there:\n%s", served.output.String())
	}
	return s
}

func (s *station) launch(t *testing.T) *server {
	t.Helper()
	return launch(t, s.files, storeFlag, s.store)
}

// serves starts a server, has it accept a request, and stops it.
func (s *station) serves(t *testing.T) *server {
	t.Helper()
	served := started(t, s.launch(t))
	status, body := served.post(t, "/validate/p", []byte(pod))
	if status != 200 || !strings.Contains(string(body), `"allowed":true`) {
		t.Errorf("%d %s", status, body)
	}
	served.stop(t)
	return served
}

// byKey signs with the trusted key.
func byKey(t *testing.T, s *station) {
	t.Helper()
	s.sign(t, s.trusted, s.digest, nil)
}

// byWorkflow signs keyless in one of the layouts, and has that asked for.
func byWorkflow(layout sign.Layout) func(*testing.T, *station) {
	return func(t *testing.T, s *station) {
		t.Helper()
		authority, err := sigstoretest.New()
		if err != nil {
			t.Fatal(err)
		}
		trustConfig, err := authority.ClientTrustConfig()
		if err != nil {
			t.Fatal(err)
		}
		s.files["sigstore-trust-config"] = string(trustConfig)
		s.files["verification-path"] = "allOf: [{kind: githubAction, owner: alice}]"
		attach := authority.SignImage
		if layout == sign.Legacy {
			attach = authority.SignImageLegacy
		}
		err = attach(t.Context(), sigstoretest.Workflow("alice/policy"), s.digest, nil, s.client.RemoteOptions(t.Context())...)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestServesWithoutRegistry holds that what was served by digest is served again while its registry
// is down, verified, and that the operator is told.
func TestServesWithoutRegistry(t *testing.T) {
	for name, signs := range map[string]func(*testing.T, *station){
		"key":             byKey,
		"keyless, legacy": byWorkflow(sign.Legacy),
		"keyless, bundle": byWorkflow(sign.Bundle),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, signs)
			s.stop()
			output := s.serves(t).output.String()
			const warning = "the registry cannot be reached: the stored signatures were verified, and one that was removed upstream still counts module="
			if strings.Count(output, warning) != 1 || !strings.Contains(output, "signature accepted module=") {
				t.Errorf("want one warning in\n%s", output)
			}
		})
	}
}

// TestRefusedWithoutRegistry holds that a registry that is down makes nothing acceptable.
func TestRefusedWithoutRegistry(t *testing.T) {
	const instead = "and the store cannot answer instead: "
	for name, c := range map[string]struct {
		change func(t *testing.T, s *station)
		want   []string
	}{
		"module changed": {
			func(t *testing.T, s *station) {
				s.rewrite(t, "registry", func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
			},
			[]string{"Error while downloading policy 'p'", "connection refused", instead + "a file in it has the digest sha256:"},
		},
		"manifest changed": {
			func(t *testing.T, s *station) {
				s.rewrite(t, "manifests", func(b []byte) []byte { return append(b, '\n') })
			},
			[]string{"Error while downloading policy 'p'", "connection refused", instead},
		},
		"signatures changed": {
			func(t *testing.T, s *station) {
				s.rewrite(t, "signatures", func(b []byte) []byte { return bytes.Replace(b, []byte(`"content":"ey`), []byte(`"content":"ew`), 1) })
			},
			[]string{"Policy 'p' cannot be verified: ", "connection refused", "invalid signature"},
		},
		"signatures cut short": {
			func(t *testing.T, s *station) {
				s.rewrite(t, "signatures", func(b []byte) []byte { return b[:len(b)/2] })
			},
			[]string{"Policy 'p' cannot be verified: ", "connection refused", "the store cannot answer instead: its signatures of this digest are damaged"},
		},
		"signatures gone": {
			func(t *testing.T, s *station) {
				if err := os.RemoveAll(filepath.Join(s.store, "signatures")); err != nil {
					t.Fatal(err)
				}
			},
			[]string{"Policy 'p' cannot be verified: ", "connection refused", "the store cannot answer instead: it keeps no signatures of this digest"},
		},
		"a stranger's key asked for": {
			func(t *testing.T, s *station) {
				stranger, err := signer.New()
				if err != nil {
					t.Fatal(err)
				}
				s.files["verification-path"] = "allOf:\n  - kind: pubKey\n    key: |\n" + indent(string(stranger.PublicKeyPEM()))
			},
			[]string{"Policy 'p' cannot be verified: ", "connection refused", "do not suffice: Image verification failed: missing signatures", "invalid signature"},
		},
		"a tag": {
			func(t *testing.T, s *station) { s.files["policies"] = s.world.files("")["policies"] },
			[]string{"Error while downloading policy 'p'", "connection refused", instead + "what a tag means only the registry can say", "by digest needs no registry once it is stored"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, byKey)
			s.stop()
			c.change(t, s)
			output := refusedToStart(t, s.launch(t))
			for _, want := range c.want {
				if !strings.Contains(output, want) {
					t.Errorf("output lacks %q:\n%s", want, output)
				}
			}
		})
	}
}

// rewrite changes the only file of the store below a folder.
func (s *station) rewrite(t *testing.T, folder string, change func([]byte) []byte) {
	t.Helper()
	rewritten := 0
	err := filepath.WalkDir(filepath.Join(s.store, folder), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rewritten++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, change(content), 0o600)
	})
	if err != nil || rewritten != 1 {
		t.Fatalf("%d files below %s, %v", rewritten, folder, err)
	}
}
