package hostcalls

import (
	"fmt"
	"slices"
	"strings"
)

// Grants are the capabilities one policy may use. The zero value grants nothing. Grants are
// immutable.
type Grants struct {
	all      bool
	prefixes []string // each ends in a slash
	exact    []Path
}

// ParseGrants reads a policy's hostCapabilities: "*", a prefix such as "oci/*" or "oci/v1/*", or a
// whole path such as "oci/v1/verify". White space around a pattern is ignored. An empty list grants
// nothing; "*" ends the reading.
//
// A pattern that is malformed, or names something that is no capability, is a *PatternError: a
// grant with a typing mistake must not look like one that works.
func ParseGrants(patterns []string) (Grants, error) {
	var g Grants
	for _, pattern := range patterns {
		trimmed := strings.TrimSpace(pattern)
		switch {
		case trimmed == "":
			return Grants{}, &PatternError{Pattern: pattern, reason: "invalid pattern: pattern must not be empty"}
		case trimmed == "*":
			return Grants{all: true}, nil
		}
		prefix, wildcard := strings.CutSuffix(trimmed, "/*")
		if strings.Contains(prefix, "*") {
			return Grants{}, &PatternError{Pattern: pattern, reason: fmt.Sprintf(
				"invalid pattern %q: wildcard '*' must be the entire last path segment (e.g. 'oci/*'), not a partial match", pattern)}
		}
		if err := checkPath(trimmed, prefix, wildcard); err != nil {
			return Grants{}, err
		}
		if wildcard {
			g.prefixes = append(g.prefixes, prefix+"/")
		} else {
			g.exact = append(g.exact, Path(trimmed))
		}
	}
	slices.Sort(g.prefixes)
	slices.Sort(g.exact)
	g.prefixes, g.exact = slices.Compact(g.prefixes), slices.Compact(g.exact)
	return g, nil
}

// checkPath walks path down the tree of known capabilities. A wildcard must stop above a leaf,
// anything else at one.
func checkPath(pattern, path string, wildcard bool) error {
	below := make([][]string, 0, 16) // what is left of each known path that begins as path does
	for _, known := range Known() {
		below = append(below, known.segments())
	}
	for _, segment := range Path(path).segments() {
		var options []string
		var next [][]string
		for _, rest := range below {
			if len(rest) == 0 {
				continue
			}
			options = append(options, rest[0])
			if rest[0] == segment {
				next = append(next, rest[1:])
			}
		}
		if len(next) == 0 {
			return unknownSegment(pattern, segment, options)
		}
		below = next
	}
	complete := len(below[0]) == 0
	if complete && wildcard {
		return unknownSegment(pattern, "*", nil)
	}
	if !complete && !wildcard {
		return &PatternError{Pattern: pattern, reason: fmt.Sprintf(
			"invalid pattern %q: not a complete capability path; use \"%s/*\" to allow all capabilities under it", pattern, pattern)}
	}
	return nil
}

func unknownSegment(pattern, segment string, options []string) error {
	slices.Sort(options)
	return &PatternError{Pattern: pattern, reason: fmt.Sprintf(
		"invalid pattern %q: unknown segment %q, valid options at this level are: %s",
		pattern, segment, strings.Join(slices.Compact(options), ", "))}
}

// PatternError reports an entry of hostCapabilities that grants nothing that exists.
type PatternError struct {
	Pattern string
	reason  string
}

func (e *PatternError) Error() string { return e.reason }

// Allow reports whether path is granted.
func (g Grants) Allow(path Path) bool {
	if g.all || slices.Contains(g.exact, path) {
		return true
	}
	return slices.ContainsFunc(g.prefixes, func(prefix string) bool { return strings.HasPrefix(string(path), prefix) })
}

// String prints the patterns: prefixes first, then whole paths, each sorted.
func (g Grants) String() string {
	if g.all {
		return "[*]"
	}
	var patterns []string
	for _, prefix := range g.prefixes {
		patterns = append(patterns, prefix+"*")
	}
	for _, path := range g.exact {
		patterns = append(patterns, string(path))
	}
	return "[" + strings.Join(patterns, ", ") + "]"
}
