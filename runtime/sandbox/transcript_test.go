package sandbox_test

import (
	"strings"
	"testing"

	"policy-server/runtime/sandbox"
)

func TestTranscript(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limit  int
		writes []string
		want   string
	}{
		{"empty", 4, nil, ""},
		{"short", 4, []string{"ab", "c"}, "abc"},
		{"exactly full", 4, []string{"ab", "cd"}, "abcd"},
		{"one over", 4, []string{"ab", "cd", "e"}, "[1 bytes cut] bcde"},
		{"one large write", 4, []string{"abcdefghij"}, "[6 bytes cut] ghij"},
		{"large after small", 4, []string{"ab", "cdefghij"}, "[6 bytes cut] ghij"},
		{"many small", 4, strings.Split("abcdefghijklmnopqrstuvwxyz", ""), "[22 bytes cut] wxyz"},
		{"small after large", 4, []string{"abcdefghij", "k"}, "[7 bytes cut] hijk"},
		{"not UTF-8", 4, []string{"a\xffb"}, "a\uFFFDb"},
		{"cut inside a character", 4, []string{"ä", "bcd"}, "[1 bytes cut] \uFFFDbcd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			transcript := sandbox.NewTranscript(tc.limit)
			for _, w := range tc.writes {
				if n, err := transcript.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("write %q: %d, %v", w, n, err)
				}
			}
			if got := transcript.String(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
