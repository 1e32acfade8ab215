package sdk

import "unicode/utf8"

// maxDepth is how many containers may nest in a checked text: the limit of encoding/json.
const maxDepth = 10000

// A nesting remembers the kinds of the open containers, one bit each, so that checking needs no
// recursion and the deepest text allowed costs 1.25 KB.
type nesting struct {
	depth   int
	objects [maxDepth/64 + 1]uint64
}

func (n *nesting) inObject() bool {
	top := n.depth - 1
	return n.depth > 0 && n.objects[top/64]&(1<<(top%64)) != 0
}

// open enters the container that bracket begins.
func (n *nesting) open(bracket byte) bool {
	if n.depth == maxDepth {
		return false
	}
	word, bit := &n.objects[n.depth/64], uint64(1)<<(n.depth%64)
	*word &^= bit
	if bracket == '{' {
		*word |= bit
	}
	n.depth++
	return true
}

// check reads the one JSON value at text[at:] strictly and returns the index past it; ok is false
// when it is not JSON in UTF-8.
func check(text string, at int) (end int, ok bool) {
	var open nesting
	for {
		if at, ok = checkValue(text, at, &open); !ok {
			return 0, false
		}
		if at, ok = checkAfter(text, at, &open); !ok {
			return 0, false
		}
		if open.depth == 0 {
			return at, true
		}
	}
}

// checkValue reads a scalar, or the brackets of all containers that begin here down to the first
// scalar or empty container. It returns the index past the scalar, or that of the empty container's
// closing bracket.
func checkValue(text string, at int, open *nesting) (next int, ok bool) {
	for at < len(text) && (text[at] == '{' || text[at] == '[') {
		closing := text[at] + 2 // '}' is '{'+2, and ']' is '['+2
		if !open.open(text[at]) {
			return 0, false
		}
		at = skipSpace(text, at+1)
		if at < len(text) && text[at] == closing {
			return at, true
		}
		if at, ok = checkName(text, at, open); !ok {
			return 0, false
		}
	}
	if at >= len(text) {
		return 0, false
	}
	return checkScalar(text, at)
}

// checkAfter reads on behind a value, through all brackets that close there, to the beginning of
// the next value or, when nothing is open any more, to the end.
func checkAfter(text string, at int, open *nesting) (next int, ok bool) {
	for open.depth > 0 {
		at = skipSpace(text, at)
		if at >= len(text) {
			return 0, false
		}
		if text[at] == ',' {
			return checkName(text, skipSpace(text, at+1), open)
		}
		if at, ok = checkClose(text, at, open); !ok {
			return 0, false
		}
	}
	return at, true
}

// checkClose reads the bracket that closes the innermost container.
func checkClose(text string, at int, open *nesting) (next int, ok bool) {
	closing := byte(']')
	if open.inObject() {
		closing = '}'
	}
	if text[at] != closing {
		return 0, false
	}
	open.depth--
	return at + 1, true
}

// checkName reads, in an object, the name and colon before the next value.
func checkName(text string, at int, open *nesting) (next int, ok bool) {
	if !open.inObject() {
		return at, true
	}
	if at, ok = checkString(text, at); !ok {
		return 0, false
	}
	at = skipSpace(text, at)
	if at >= len(text) || text[at] != ':' {
		return 0, false
	}
	return skipSpace(text, at+1), true
}

func checkScalar(text string, at int) (end int, ok bool) {
	if text[at] == '"' {
		return checkString(text, at)
	}
	for _, literal := range [...]string{"true", "false", "null"} {
		if end := at + len(literal); end <= len(text) && text[at:end] == literal {
			return end, true
		}
	}
	return checkNumber(text, at)
}

func checkString(text string, at int) (end int, ok bool) {
	if at >= len(text) || text[at] != '"' {
		return 0, false
	}
	for at++; at < len(text); {
		switch b := text[at]; {
		case b == '"':
			return at + 1, true
		case b == '\\':
			size := escapeSize(text[at:])
			if size == 0 {
				return 0, false
			}
			at += size
		case b < ' ':
			return 0, false
		case b < utf8.RuneSelf:
			at++
		default:
			r, size := utf8.DecodeRuneInString(text[at:])
			if r == utf8.RuneError && size == 1 {
				return 0, false
			}
			at += size
		}
	}
	return 0, false
}

// escapeSize returns the length of the escape at the beginning of s, 0 when there is none.
func escapeSize(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) >= 6 && isHex(s[2]) && isHex(s[3]) && isHex(s[4]) && isHex(s[5]) {
			return 6
		}
	}
	return 0
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

func checkNumber(text string, at int) (end int, ok bool) {
	if at < len(text) && text[at] == '-' {
		at++
	}
	whole := skipDigits(text, at)
	if whole == at || text[at] == '0' && whole > at+1 {
		return 0, false
	}
	at = whole
	if at < len(text) && text[at] == '.' {
		fraction := skipDigits(text, at+1)
		if fraction == at+1 {
			return 0, false
		}
		at = fraction
	}
	if at < len(text) && (text[at] == 'e' || text[at] == 'E') {
		at++
		if at < len(text) && (text[at] == '+' || text[at] == '-') {
			at++
		}
		exponent := skipDigits(text, at)
		if exponent == at {
			return 0, false
		}
		at = exponent
	}
	return at, true
}

func skipDigits(text string, at int) int {
	for at < len(text) && '0' <= text[at] && text[at] <= '9' {
		at++
	}
	return at
}
