package sdk

import "math/bits"

// The functions of this file find where JSON values begin and end. They count brackets and skip
// strings, no more: the text was checked by the host or by JSON. On text that is not JSON they
// still stay inside it, never recurse deeper than the path they follow, and report malformed where
// they notice.

// malformed is the index reported in place of one past a value that does not end.
const malformed = -1

// skipSpace returns the index of the first byte at or after at that is not white space; at most
// len(text).
func skipSpace(text string, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// skipValue returns the index just past the value that begins at text[at].
func skipValue(text string, at int) int {
	if at >= len(text) {
		return malformed
	}
	switch text[at] {
	case '"':
		return skipString(text, at)
	case '{', '[':
		return skipContainer(text, at)
	}
	start := at
	for at < len(text) && !endsScalar(text[at]) {
		at++
	}
	if at == start {
		return malformed
	}
	return at
}

func endsScalar(b byte) bool {
	switch b {
	case ',', ']', '}', ':', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}

// skipString returns the index just past the string whose opening quote is text[at].
func skipString(text string, at int) int {
	var carry uint64
	for at++; at < len(text); at += lanes {
		var w uint64
		if at+lanes <= len(text) {
			w = fullWord(text, at)
		} else {
			w = lastWord(text, at)
		}
		quotes, backslashes := equal(w, '"'), equal(w, '\\')
		if backslashes|carry != 0 {
			var escaped uint64
			escaped, carry = escapedLanes(backslashes, carry)
			quotes &^= escaped
		}
		if quotes != 0 {
			return at + firstLane(quotes) + 1
		}
	}
	return malformed
}

// skipContainer returns the index just past the object or array whose opening bracket is text[at].
func skipContainer(text string, at int) int {
	depth := 1
	var carry, open uint64
	for at++; at < len(text); at += lanes {
		var w uint64
		if at+lanes <= len(text) {
			w = fullWord(text, at)
		} else {
			w = lastWord(text, at)
		}
		quotes, backslashes := equal(w, '"'), equal(w, '\\')
		if backslashes|carry != 0 {
			var escaped uint64
			escaped, carry = escapedLanes(backslashes, carry)
			quotes &^= escaped
		}
		inside := between(quotes, open)
		open = uint64(int64(inside)>>63) & allLanes
		folded := w | ones*0x20 // '[' becomes '{', and ']' becomes '}'
		opening, closing := equal(folded, '{')&^inside, equal(folded, '}')&^inside
		if opening|closing == 0 {
			continue
		}
		if bits.OnesCount64(closing) >= depth {
			if lane, ok := closingLane(opening, closing, depth); ok {
				return at + lane + 1
			}
		}
		depth += bits.OnesCount64(opening) - bits.OnesCount64(closing)
	}
	return malformed
}

// closingLane returns the lane of the bracket that closes the last of depth containers.
func closingLane(opening, closing uint64, depth int) (lane int, ok bool) {
	for brackets := opening | closing; brackets != 0; brackets &= brackets - 1 {
		lane = firstLane(brackets)
		if opening&(lowLane<<(lane*lanes)) != 0 {
			depth++
		} else if depth--; depth == 0 {
			return lane, true
		}
	}
	return 0, false
}

// A cursor walks the members of an object or the elements of an array. After each successful step,
// at is the index of a value; the caller moves it past the value before the next step. At the
// container's end, at is the index past its bracket.
type cursor struct {
	text  string
	at    int
	steps int
}

// enter puts a cursor on the container that begins at text[at].
func enter(text string, at int) cursor { return cursor{text: text, at: at} }

// element steps to the next element of an array, and reports false at its end.
func (c *cursor) element() bool {
	text, at := c.text, c.at
	if at == malformed {
		return false
	}
	if c.steps == 0 {
		at++ // past the bracket
	}
	at = skipSpace(text, at)
	if at < len(text) && text[at] == ',' {
		at = skipSpace(text, at+1)
	}
	if at >= len(text) {
		return c.fail()
	}
	c.at = at
	if text[at] == ']' || text[at] == '}' {
		c.at++
		return false
	}
	c.steps++
	return true
}

// member steps to the value of an object's next member and returns its name, still quoted. It
// reports false at the object's end.
func (c *cursor) member() (name string, ok bool) {
	if !c.element() {
		return "", false
	}
	text, start := c.text, c.at
	if text[start] != '"' {
		return "", c.fail()
	}
	end := skipString(text, start)
	if end == malformed {
		return "", c.fail()
	}
	at := skipSpace(text, end)
	if at >= len(text) || text[at] != ':' {
		return "", c.fail()
	}
	c.at = skipSpace(text, at+1)
	return text[start:end], true
}

// value returns the value at the cursor and moves past it; the empty text when it does not end.
func (c *cursor) value() string {
	start := c.at
	c.at = skipValue(c.text, start)
	if c.at == malformed {
		return ""
	}
	return c.text[start:c.at]
}

// fail leaves the cursor where no step leads on from.
func (c *cursor) fail() bool {
	c.at = malformed
	return false
}

// find returns what path leads to inside the value at text[at], empty when there is nothing, and
// the index past that whole value. A name that an object holds twice means its last member, as for
// encoding/json and the API server: a reader that took the first could be shown another object than
// the one that is stored.
func find(text string, at int, path []string) (found string, end int) {
	if len(path) == 0 || at >= len(text) {
		c := cursor{text: text, at: at}
		found = c.value()
		return found, c.at
	}
	switch text[at] {
	case '{':
		return findMember(text, at, path)
	case '[':
		return findElement(text, at, path)
	}
	return "", skipValue(text, at)
}

func findMember(text string, at int, path []string) (found string, end int) {
	c := enter(text, at)
	for {
		name, ok := c.member()
		if !ok {
			break
		}
		if named(name, path[0]) {
			found, c.at = find(text, c.at, path[1:])
		} else {
			c.at = skipValue(text, c.at)
		}
	}
	if c.at == malformed {
		found = ""
	}
	return found, c.at
}

func findElement(text string, at int, path []string) (found string, end int) {
	wanted, ok := index(path[0])
	if !ok {
		return "", skipContainer(text, at)
	}
	c := enter(text, at)
	for n := 0; c.element(); n++ {
		if n == wanted {
			found, c.at = find(text, c.at, path[1:])
		} else {
			c.at = skipValue(text, c.at)
		}
	}
	if c.at == malformed {
		found = ""
	}
	return found, c.at
}

// index reads an array index as RFC 6901 spells it: decimal, without leading zeros.
func index(token string) (n int, ok bool) {
	if token == "" || len(token) > 9 || len(token) > 1 && token[0] == '0' {
		return 0, false
	}
	for _, digit := range []byte(token) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = n*10 + int(digit-'0')
	}
	return n, true
}
