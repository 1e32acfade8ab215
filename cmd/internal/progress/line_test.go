package progress

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests are inside the package for terminals of a known width; policyctl's have a real one.

// shown is what a terminal shows in the end of what was written to it.
func shown(written string) []string {
	var lines []string
	for _, line := range strings.Split(written, "\n") {
		row := []rune{}
		column := 0
		for _, r := range line {
			if r == '\r' {
				column = 0
				continue
			}
			if column == len(row) {
				row = append(row, ' ')
			}
			row[column] = r
			column++
		}
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	return lines
}

func TestLine(t *testing.T) {
	const uri = "registry://ghcr.io/acme/policy:v1"
	for _, test := range []struct {
		name    string
		columns int
		do      func(*Line)
		want    []string
	}{
		{"begun", 80, func(*Line) {}, []string{"⠋ Pulling " + uri}},
		{"all there", 80, func(l *Line) { l.Update(2_500_000, 2_500_000) }, []string{"⠙ Pulling " + uri + "  2.5 MB of 2.5 MB, 100%"}},
		{"one update in the interval is not drawn", 80, func(l *Line) { l.Update(1, 2_500_000) }, []string{"⠋ Pulling " + uri}},
		{"size unknown", 80, func(l *Line) { l.Update(1, 1); l.last = l.last.Add(-redrawInterval); l.Update(1_260_000, -1) }, []string{"⠹ Pulling " + uri + "  1.3 MB"}},
		{"narrow", 20, func(l *Line) { l.Update(1, 1) }, []string{"⠙ Pulling registry:"}},
		{"no columns", 1, func(l *Line) { l.Update(1, 1) }, []string{""}},
		{"log lines", 80, func(l *Line) {
			for _, text := range []string{"INFO one\n", "INFO two\n"} {
				if _, err := io.WriteString(l, text); err != nil {
					panic(err)
				}
			}
		}, []string{"INFO one", "INFO two", "⠋ Pulling " + uri}},
		{"ended", 80, func(l *Line) { l.End("Pulled"); l.Update(1, 1); _, _ = l.Write([]byte("INFO\n")); l.End("again") }, []string{"Pulled", "INFO", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			l := (&Line{out: &out, columns: func() int { return test.columns }}).begin("Pulling " + uri)
			test.do(l)
			if got := shown(out.String()); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNoTerminal(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var buffer bytes.Buffer
	for _, out := range []io.Writer{file, &buffer} {
		l := Start(out, "Pulling")
		l.Update(1, 2)
		if _, err := io.WriteString(l, "INFO\n"); err != nil {
			t.Fatal(err)
		}
		l.Update(2, 2)
		l.End("Pulled")
	}
	written, err := os.ReadFile(file.Name())
	if err != nil || string(written) != "INFO\n" || buffer.String() != "INFO\n" {
		t.Errorf("got %q and %q, error %v, want the log line only", written, buffer.String(), err)
	}
}
