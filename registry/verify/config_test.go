package verify_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/registry/verify"
)

var update = flag.Bool("update", false, "rewrite the expected files under testdata")

func TestParseConfigAccepted(t *testing.T) {
	eachConfig(t, "accepted", func(t *testing.T, data []byte) string {
		cfg, err := verify.ParseConfig(data)
		if err != nil {
			t.Fatal(err)
		}
		return printed(cfg)
	})
}

func TestParseConfigRefused(t *testing.T) {
	eachConfig(t, "refused", func(t *testing.T, data []byte) string {
		cfg, err := verify.ParseConfig(data)
		if err == nil {
			t.Fatalf("accepted:\n%s", printed(cfg))
		}
		return err.Error() + "\n"
	})
}

// eachConfig compares what do makes of testdata/<outcome>/<name>.yml with the file <name>.txt
// beside it.
func eachConfig(t *testing.T, outcome string, do func(*testing.T, []byte) string) {
	paths, err := filepath.Glob(filepath.Join("testdata", outcome, "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := do(t, data)
			expected := strings.TrimSuffix(path, ".yml") + ".txt"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// printed writes cfg as its reports do: every constraint under its path.
func printed(cfg verify.Config) string {
	var out strings.Builder
	for i, c := range cfg.AllOf {
		fmt.Fprintf(&out, "# allOf[%d]\n%s", i, c)
	}
	if cfg.AnyOf != nil {
		fmt.Fprintf(&out, "# anyOf.minimumMatches: %d\n", cfg.AnyOf.MinimumMatches)
		for i, c := range cfg.AnyOf.Signatures {
			fmt.Fprintf(&out, "# anyOf.signatures[%d]\n%s", i, c)
		}
	}
	return out.String()
}

// TestParseConfig_nulls holds that nothing and null behind a key are the same as no key, and no
// item of a list, nor text of an annotation.
func TestParseConfig_nulls(t *testing.T) {
	const entry = "{kind: githubAction, owner: o}"
	for file, want := range map[string]string{
		"apiVersion: %s\nallOf: [" + entry + "]":                        "",
		"allOf: %s\nanyOf: {signatures: [" + entry + "]}":               "",
		"anyOf: %s\nallOf: [" + entry + "]":                             "",
		"allOf:\n- %s":                                                  "Not a valid configuration file: allOf[0]: want a mapping, got null",
		"anyOf: {signatures: %s}":                                       "Not a valid configuration file: anyOf.signatures: missing",
		"anyOf: {minimumMatches: %s, signatures: [" + entry + "]}":      "",
		"anyOf: {distinctSigners: %s, signatures: [" + entry + "]}":     "",
		"allOf: [{kind: %s, owner: o}]":                                 "Not a valid configuration file: allOf[0].kind: missing; want pubKey",
		"allOf: [{kind: githubAction, owner: %s}]":                      "Not a valid configuration file: allOf[0].owner: missing",
		"allOf: [{kind: githubAction, owner: o, repo: %s}]":             "",
		"allOf: [{kind: githubAction, owner: o, annotations: %s}]":      "",
		"allOf: [{kind: githubAction, owner: o, annotations: {a: %s}}]": "Not a valid configuration file: allOf[0].annotations.a: want a string, got null",
		"allOf: [{kind: genericIssuer, issuer: i, subject: %s}]":        "Not a valid configuration file: allOf[0].subject: missing; want equal",
	} {
		for _, null := range []string{"null", "~", " "} {
			content := strings.ReplaceAll(file, "%s", null)
			_, err := verify.ParseConfig([]byte(content))
			if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", content, err, want)
			}
		}
	}
}

func TestSubjectURLPrefix(t *testing.T) {
	cases := []struct{ name, text, want string }{
		{"slash added", "https://github.com/alice", "https://github.com/alice/"},
		{"slash kept", "https://github.com/alice/", "https://github.com/alice/"},
		{"no path", "https://github.com", "https://github.com/"},
		{"case and default port", "HTTPS://GitHub.com:443/Alice", "https://github.com/Alice/"},
		{"other port", "https://github.com:8443/alice", "https://github.com:8443/alice/"},
		{"default port of http", "http://git.example:80", "http://git.example/"},
		{"port of the other scheme", "http://git.example:443", "http://git.example:443/"},
		{"empty port", "https://git.example:/a", "https://git.example/a/"},
		{"dot segments", "https://github.com/bob/../alice/./x", "https://github.com/alice/x/"},
		{"middle of an element", "https://h.example/ci.yml@refs/tags/v1", "https://h.example/ci.yml@refs/tags/v1/"},
		{"query", "https://h.example/a?b=c", "https://h.example/a/?b=c/"},
		{"fragment", "https://h.example/a#b", "https://h.example/a/#b/"},
		{"escapes kept", "https://h.example/a%2Fb", "https://h.example/a%2Fb/"},
		{"IPv6", "https://[2001:DB8::1]:443/a", "https://[2001:db8::1]/a/"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			subject, err := verify.SubjectURLPrefix(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			got := verify.GenericIssuer{Issuer: "i", Subject: subject}.String()
			if want := "subject: !urlPrefix " + tc.want + "\n"; !strings.Contains(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// FuzzParseConfig: whatever is accepted can be printed, asks for something, and its minimum can be
// met.
func FuzzParseConfig(f *testing.F) {
	for _, pattern := range []string{"testdata/accepted/*.yml", "testdata/refused/*.yml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := verify.ParseConfig(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("refused without a reason")
			}
			return
		}
		if len(cfg.AllOf) == 0 && cfg.AnyOf == nil {
			t.Error("accepted a config that asks for nothing")
		}
		if a := cfg.AnyOf; a != nil && (a.MinimumMatches < 1 || a.MinimumMatches > len(a.Signatures) && !a.DistinctSigners) {
			t.Errorf("accepted minimumMatches %d of %d", a.MinimumMatches, len(a.Signatures))
		}
		if text := printed(cfg); strings.Contains(text, "cannot be printed") {
			t.Error(text)
		}
	})
}
