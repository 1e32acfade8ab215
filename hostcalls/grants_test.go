package hostcalls_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"policy-server/hostcalls"
)

// TestGrants holds the compatibility cases about patterns, by their numbers.
func TestGrants(t *testing.T) {
	grant := func(t *testing.T, patterns ...string) hostcalls.Grants {
		t.Helper()
		grants, err := hostcalls.ParseGrants(patterns)
		if err != nil {
			t.Fatal(err)
		}
		return grants
	}
	for patterns, c := range map[string]struct{ allowed, denied string }{
		"":                                     {"", "oci/v1/verify"},
		"*":                                    {"oci/v1/verify kubernetes/can_i", ""},
		"oci/v1/verify":                        {"oci/v1/verify", "oci/v2/verify"},
		"oci/*":                                {"oci/v1/verify oci/v2/verify oci/v1/manifest_digest", "net/v1/dns_lookup_host"},
		"oci/v2/*":                             {"oci/v2/verify", "oci/v1/verify"},
		"oci/v1/verify net/v1/dns_lookup_host": {"oci/v1/verify net/v1/dns_lookup_host", "kubernetes/can_i"},
		"oci/* kubernetes/can_i":               {"oci/v1/manifest_digest kubernetes/can_i", "net/v1/dns_lookup_host"},
	} {
		t.Run("9 "+patterns, func(t *testing.T) {
			grants := grant(t, strings.Fields(patterns)...)
			for path := range strings.FieldsSeq(c.allowed) {
				if !grants.Allow(hostcalls.Path(path)) {
					t.Errorf("%s is not allowed", path)
				}
			}
			for path := range strings.FieldsSeq(c.denied) {
				if grants.Allow(hostcalls.Path(path)) {
					t.Errorf("%s is allowed", path)
				}
			}
		})
	}
	for _, pattern := range []string{"", "oci*", "oci/v1/oci_*", "*/oci", "unknown/v1/op", "oci/v99/verify", "oci/v1/nonexistent",
		"kubernetes/nonexistent", "unknown/*", "oci/v99/*", "oci", "oci/v1", "net", "kubernetes"} {
		t.Run("10 "+pattern, func(t *testing.T) {
			var refused *hostcalls.PatternError
			if grants, err := hostcalls.ParseGrants([]string{pattern}); !errors.As(err, &refused) {
				t.Errorf("means %s, %v", grants, err)
			}
		})
	}
	for _, pattern := range append(texts(hostcalls.Known()), "oci/*", "oci/v2/*", "net/*", "crypto/*", "kubernetes/*") {
		t.Run("12 "+pattern, func(t *testing.T) { grant(t, pattern) })
	}
	t.Run("13 everything", func(t *testing.T) {
		for _, grants := range []hostcalls.Grants{grant(t, "*"), grant(t, "*", "oci/*", "kubernetes/can_i")} {
			if grants.String() != "[*]" {
				t.Errorf("prints %s", grants)
			}
		}
	})
	t.Run("14 printed", func(t *testing.T) {
		if printed := grant(t, "oci/*", "kubernetes/can_i").String(); printed != "[oci/*, kubernetes/can_i]" {
			t.Errorf("prints %s", printed)
		}
	})
	t.Run("15 known, and oci/v3/verify beyond upstream", func(t *testing.T) {
		if known := hostcalls.Known(); len(known) != 12 || !slices.IsSorted(known) {
			t.Errorf("%d: %v", len(known), known)
		}
	})
}

func texts(paths []hostcalls.Path) []string {
	all := make([]string, len(paths))
	for i, path := range paths {
		all[i] = string(path)
	}
	return all
}
