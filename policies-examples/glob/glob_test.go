package glob_test

import (
	"regexp"
	"strings"
	"testing"

	"policy-server/policies-examples/glob"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"*", "", true},
		{"*", "ghcr.io/acme/app:1", true},
		{"", "", true},
		{"", "a", false},
		{"ghcr.io/acme/*", "ghcr.io/acme/tools/app:1@sha256:12", true},
		{"ghcr.io/acme/*", "ghcr.io/acme/", true},
		{"ghcr.io/acme/*", "ghcr.io/acme", false},
		{"ghcr.io/acme/*", "evil.io/ghcr.io/acme/app", false},
		{"*/app:*", "ghcr.io/app/app:1", true},
		{"*/app:*", "ghcr.io/app/web:1", false},
		{"app:?", "app:1", true},
		{"app:?", "app:", false},
		{"app:?", "app:12", false},
		{"a*b*c", "aXbXbc", true},
		{"a*b*c", "aXbXcb", false},
		{"**", "x", true},
		{"?*", "", false},
		{"nginx", "nginx", true},
		{"nginx", "nginx:1", false},
	} {
		if got := glob.Match(c.pattern, c.text); got != c.want {
			t.Errorf("%q matches %q: %t", c.pattern, c.text, got)
		}
	}
}

// FuzzMatch holds matching against a regular expression of the same meaning.
func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Add("**?*", "a")
	f.Add("*ab*ab*", "ababab")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 50 || strings.IndexFunc(pattern+text, func(r rune) bool { return r > 0x7e || r < ' ' }) >= 0 {
			return // regular expressions count runes
		}
		expression := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile("^(?s:" + expression + ")$").MatchString(text)
		if got := glob.Match(pattern, text); got != want {
			t.Fatalf("%q matches %q: %t, expected %t", pattern, text, got, want)
		}
	})
}
