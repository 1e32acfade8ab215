package evidence

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"policy-server/registry/trust"
)

// Real signatures of the public-good instance, which ship with sigstore-go, verify without a
// network. None of them is about an image, so this goes in below the choice of predicate.
func TestPublicGood(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sigstore/sigstore-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), path))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	content := read("examples/trusted-root-public-good.json")
	for name, data := range map[string][]byte{
		"trusted root":      content,
		"ClientTrustConfig": append(append([]byte(`{"trustedRoot":`), content...), `,"signingConfig":{"new":1}}`...),
	} {
		root, err := trust.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := decodeBundle(read("examples/bundle-provenance.json"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseBundle(read("examples/bundle-provenance.json")); !errors.Is(err, errAttestation) {
			t.Errorf("as an image's signature: got %v", err)
		}
		digest := v1.Hash{Algorithm: "sha512", Hex: b.statement.Subject[0].Digest["sha512"]}
		signed, _, err := (prover{root}).prove(t.Context(), b, digest)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if id := signed.Identity; id.Issuer != GitHubIssuer || id.GitHub.Repository != "sigstore/sigstore-js" ||
			!strings.HasPrefix(id.Subject, "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@") {
			t.Errorf("signed by %s", id)
		}
		if signed.Log.Index == 0 || signed.Time.IsZero() {
			t.Errorf("logged at %+v, %s", signed.Log, signed.Time)
		}
		digest.Hex = strings.Repeat("0", len(digest.Hex))
		if _, _, err := (prover{root}).prove(t.Context(), b, digest); !errors.Is(err, ErrOtherDigest) {
			t.Errorf("another digest: got %v", err)
		}
	}
}
