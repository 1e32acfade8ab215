package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// A comparison holds for some versions: "<2.17.1".
type comparison struct{ operator, version string }

// parseComparisons reads comparisons with blanks between them; ok is false when a part is none.
func parseComparisons(text string) (all []comparison, ok bool) {
	for part := range strings.FieldsSeq(text) {
		version := strings.TrimLeft(part, "<=>")
		c := comparison{strings.TrimSuffix(part, version), version}
		if version == "" || !slices.Contains([]string{"=", "<", "<=", ">", ">="}, c.operator) {
			return nil, false
		}
		all = append(all, c)
	}
	return all, true
}

func (c comparison) holds(version string) bool {
	switch order := compareVersions(version, c.version); c.operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	default:
		return order == 0
	}
}

// compareVersions orders versions of any ecosystem as well as one order can: runs of digits by
// value, words as text and between 0 and 1, what is missing as 0. Words for what comes before a
// release are less than nothing: 2.0-rc1 < 2.0 = 2.0.0 < 2.0a < 2.0.1.
func compareVersions(a, b string) int {
	as, bs := parts(a), parts(b)
	for i := range max(len(as), len(bs)) {
		if order := comparePart(at(as, i), at(bs, i)); order != 0 {
			return order
		}
	}
	return 0
}

// A part of a version is a number or a word.
type part struct {
	rank   int // of a word before a release -1, of zero 0, of another word 1, of another number 2
	number uint64
	word   string
}

func comparePart(a, b part) int {
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.number, b.number), cmp.Compare(a.word, b.word))
}

// at returns a part, and 0 behind the last.
func at(parts []part, i int) part {
	if i < len(parts) {
		return parts[i]
	}
	return part{}
}

func parts(version string) (all []part) {
	version = strings.ToLower(version)
	if len(version) > 1 && version[0] == 'v' && isDigit(version[1]) {
		version = version[1:]
	}
	for len(version) > 0 {
		end := 1
		for end < len(version) && class(version[end]) == class(version[0]) {
			end++
		}
		run := version[:end]
		version = version[end:]
		switch class(run[0]) {
		case digit:
			all = append(all, numberPart(run))
		case letter:
			word := wordPart(run)
			for word.rank < 0 && len(all) > 0 && all[len(all)-1] == (part{}) {
				all = all[:len(all)-1] // 2.0-rc1 is before 2 no less than 2-rc1 is
			}
			all = append(all, word)
		}
	}
	return all
}

func numberPart(digits string) part {
	n, _ := strconv.ParseUint(digits, 10, 64) // the largest number stands for all beyond
	if n == 0 {
		return part{}
	}
	return part{rank: 2, number: n}
}

func wordPart(word string) part {
	switch word {
	case "final", "ga", "release":
		return part{}
	case "alpha", "beta", "milestone", "rc", "cr", "pre", "preview", "snapshot", "dev", "canary":
		return part{rank: -1, word: word}
	}
	return part{rank: 1, word: word}
}

// The classes of bytes in versions.
const (
	digit = iota
	letter
	separator
)

func class(b byte) int {
	switch {
	case isDigit(b):
		return digit
	case 'a' <= b && b <= 'z':
		return letter
	}
	return separator
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
