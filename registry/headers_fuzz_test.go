package registry

import (
	"fmt"
	"testing"
	"time"
)

func TestParseContentRange(t *testing.T) {
	for _, test := range []struct {
		text               string
		first, last, total int64
		ok                 bool
	}{
		{"bytes 0-0/1", 0, 0, 1, true},
		{"bytes 1000-1999/2000", 1000, 1999, 2000, true},
		{"Bytes 1000-1999/*", 1000, 1999, -1, true},
		{"bytes 9223372036854775806-9223372036854775806/9223372036854775807", 1<<63 - 2, 1<<63 - 2, 1<<63 - 1, true},
		{text: "bytes 0-0/9223372036854775808"}, {text: "bytes 2-1/3"}, {text: "bytes 0-3/3"}, {text: "bytes */3"}, {text: "bytes 0-1"},
		{text: "bytes -1/3"}, {text: "bytes 0-/3"}, {text: "bytes 0-+1/3"}, {text: "bytes  0-1/3"}, {text: "bytes 0-1/3 "}, {text: "items 0-1/3"},
		{text: "0-1/3"}, {text: "bytes"}, {text: ""},
	} {
		first, last, total, err := parseContentRange(test.text)
		if first != test.first || last != test.last || total != test.total || (err == nil) != test.ok {
			t.Errorf("%q: got %d-%d of %d, error %v", test.text, first, last, total, err)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-0/1", "bytes 1000-1999/*", "bytes */3", "bytes 9223372036854775807-9223372036854775808/1", "bytes -/-", "items 1-2/3", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, last, total, err := parseContentRange(text)
		if err != nil {
			return
		}
		if first < 0 || last < first || total < -1 || (total >= 0 && total <= last) {
			t.Errorf("%q: got %d-%d of %d", text, first, last, total)
		}
		again := fmt.Sprintf("bytes %d-%d/%d", first, last, total)
		if total < 0 {
			again = fmt.Sprintf("bytes %d-%d/*", first, last)
		}
		if f, l, n, err := parseContentRange(again); f != first || l != last || n != total || err != nil {
			t.Errorf("%q is read as %d-%d of %d, error %v", again, f, l, n, err)
		}
	})
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 5, 21, 8, 33, 56, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                                 0,
		"0":                                0,
		"1":                                time.Second,
		"3600":                             time.Hour,
		"99999999999999999999":             mostAsked,
		"-1":                               0,
		"1.5":                              0,
		"soon":                             0,
		"Thu, 21 May 2026 08:34:01 GMT":    5 * time.Second,
		"Thursday, 21-May-26 08:34:01 GMT": 5 * time.Second,
		"Thu May 21 08:34:01 2026":         5 * time.Second,
		"Thu, 21 May 2026 08:33:55 GMT":    0,
		"Thu, 21 May 2099 08:33:56 GMT":    mostAsked,
	} {
		if got := parseRetryAfter(text, now); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "-1", "99999999999999999999", "Thu, 21 May 2026 08:34:01 GMT", "Thu May 21 08:34:01 0000"} {
		f.Add(seed)
	}
	now := time.Date(2026, 5, 21, 8, 33, 56, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		if pause := parseRetryAfter(text, now); pause < 0 || pause > mostAsked {
			t.Errorf("%q: got %s, want 0 to %s", text, pause, mostAsked)
		}
	})
}

// TestPauses holds the default pauses to what is said of them: they grow, and add up to three
// seconds at most.
func TestPauses(t *testing.T) {
	var all time.Duration
	for attempt := 1; attempt < DefaultAttempts; attempt++ {
		whole := DefaultFirstPause << (attempt - 1)
		pause := Retries{}.length(attempt, 0)
		if pause < whole/2 || pause > whole {
			t.Errorf("pause %d is %s, want %s to %s", attempt, pause, whole/2, whole)
		}
		all += pause
	}
	if all > 3*time.Second {
		t.Errorf("all pauses are %s", all)
	}
	if pause := (Retries{}).length(1000, 0); pause > longestPause {
		t.Errorf("pause 1000 is %s", pause)
	}
}

func FuzzManifestLocation(f *testing.F) {
	manifest := []byte("{}")
	for _, seed := range []string{"", "/", "/v2/p/manifests/" + digestOf(manifest), "/sha256:00", "/sha512:" + digestOf(nil), "/a%3Ab?x", "/sha256%3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, location string) {
		if checkManifestLocation(location, manifest) == nil && checkManifestLocation(location, []byte("[]")) == nil {
			t.Errorf("%q stands for two manifests", location)
		}
	})
}
