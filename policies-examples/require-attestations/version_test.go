package main

import "testing"

func TestCompareVersions(t *testing.T) {
	// Each is less than the next; those of one line are the same.
	ascending := [][]string{
		{"0", "", "v0"},
		{"0.9"},
		{"1.0-alpha1", "1.0.0-alpha.1"},
		{"1.0-beta1"},
		{"1.0-rc.2", "1.0rc2", "v1.0-RC2"},
		{"1.0-SNAPSHOT"},
		{"1", "1.0", "1.0.0", "v1.0", "1.0.Final", "1.0-GA"},
		{"1.0a"},
		{"1.0-1", "1.0.1"},
		{"1.0.1-1ubuntu2"},
		{"1.0.1-2"},
		{"1.0.2"},
		{"1.0.2k"},
		{"1.0.2l"},
		{"1.0.10"},
		{"2.14.1"},
		{"2.17.1"},
		{"18446744073709551615", "99999999999999999999999"},
	}
	for i, same := range ascending {
		for _, a := range same {
			for j, others := range ascending {
				for _, b := range others {
					got, want := compareVersions(a, b), 0
					if i < j {
						want = -1
					} else if i > j {
						want = 1
					}
					if got != want {
						t.Errorf("%q to %q is %d, expected %d", a, b, got, want)
					}
				}
			}
		}
	}
}

func TestComparisons(t *testing.T) {
	for _, c := range []struct {
		text, version string
		want          bool
	}{
		{"<2.17.1", "2.14.1", true},
		{"<2.17.1", "2.17.1", false},
		{"<=2.17.1", "2.17.1", true},
		{">=2.0 <2.17.1", "1.2.17", false},
		{">=2.0 <2.17.1", "2.0", true},
		{">=2.0-alpha <2.17.1", "2.0-beta9", true},
		{">2", "2.0.1", true},
		{">2", "2.0", false},
		{"=2.3", "2.3.0", true},
		{"=2.3", "2.3.1", false},
	} {
		all, ok := parseComparisons(c.text)
		if got := (ban{name: "p", versions: all}).means(pkg{name: "p", version: c.version}); !ok || got != c.want {
			t.Errorf("%q means %q: %t, read: %t", c.text, c.version, got, ok)
		}
	}
	for _, text := range []string{"2.0", "<", "~1.0", "=>1.0", "< 2.0", "!=1", "<1.0,>2"} {
		if all, ok := parseComparisons(text); ok && text != "<1.0,>2" {
			t.Errorf("%q reads as %v", text, all)
		}
	}
}

// FuzzCompareVersions holds that there is one order.
func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0-rc1", "1.0", "1.0.final")
	f.Add("2:1.2.3-1ubuntu2", "v1.2", "x")
	f.Add("99999999999999999999", "1..0", "1.0a")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if compareVersions(a, a) != 0 || compareVersions(a, b) != -compareVersions(b, a) {
			t.Fatalf("%q and %q are in two orders", a, b)
		}
		if compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0 && compareVersions(a, c) > 0 {
			t.Fatalf("%q, %q and %q go round", a, b, c)
		}
	})
}
