package trustroot_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"policy-server/cmd/internal/trustroot"
	"policy-server/internal/testing/sigstoretest"
)

func TestSource(t *testing.T) {
	authority, err := sigstoretest.New()
	if err != nil {
		t.Fatal(err)
	}
	config, err := authority.ClientTrustConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing, broken, empty := filepath.Join(t.TempDir(), "none.json"), file("broken.json", "{"), file("empty.json", "{}")
	cases := []struct{ name, file, want string }{
		{"a ClientTrustConfig", file("good.json", string(config)), ""},
		{"no file", "", ""},
		{"missing", missing, "could not read Sigstore PKI file " + missing + ": "},
		{"not JSON", broken, "could not parse Sigstore trust config file " + broken + ": "},
		{"no trust root", empty, "Sigstore PKI file " + empty + " missing trusted_root field"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			cache := filepath.Join(t.TempDir(), "cache")
			_, err := trustroot.Source(tc.file, "PKI file", cache, zap.NewNop())
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if _, err := os.Stat(cache); !os.IsNotExist(err) {
				t.Errorf("the cache was touched: %v", err)
			}
		})
	}
}
