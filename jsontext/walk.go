package jsontext

import (
	"encoding/json"
	"iter"
)

// The functions of this file walk JSON that is known to be valid, by json.Valid or a Scanner,
// without decoding it. Of other text they yield something, and never panic.

// Members yields an object's members in order: the name decoded, the value's text. Nothing for
// other values.
func Members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		at := skipSpace(object, 0)
		if at >= len(object) || object[at] != '{' {
			return
		}
		for at = skipSpace(object, at+1); at < len(object) && object[at] == '"'; at = nextItem(object, at) {
			end := skipValue(object, at)
			name := Text(object[at:end])
			start := min(skipSpace(object, skipSpace(object, end)+1), len(object)) // past the colon
			at = skipValue(object, start)
			if !yield(name, object[start:at]) {
				return
			}
		}
	}
}

// Elements yields an array's elements in order. Nothing for other values.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		at := skipSpace(array, 0)
		if at >= len(array) || array[at] != '[' {
			return
		}
		for at = skipSpace(array, at+1); at < len(array) && array[at] != ']'; at = nextItem(array, at) {
			start := at
			at = skipValue(array, start)
			if !yield(array[start:at]) {
				return
			}
		}
	}
}

// nextItem returns where the next item of a container begins, or its end is, given where one ended.
func nextItem(text []byte, at int) int {
	at = skipSpace(text, at)
	if at < len(text) && text[at] == ',' {
		return skipSpace(text, at+1)
	}
	return at
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

// skipValue returns the index just past the value that begins at text[at].
func skipValue(text []byte, at int) int {
	depth := 0
	for at < len(text) {
		switch text[at] {
		case '"':
			at = skipString(text, at)
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			depth--
			at++
		case ',', ':', ' ', '\n', '\t', '\r':
			at++
			continue
		default:
			at = skipScalar(text, at)
		}
		if depth == 0 {
			break
		}
	}
	return at
}

func skipString(text []byte, at int) int {
	for at++; at < len(text) && text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return min(at+1, len(text))
}

// skipScalar passes over a number or a literal.
func skipScalar(text []byte, at int) int {
	for ; at < len(text); at++ {
		switch text[at] {
		case ',', ']', '}', ' ', '\n', '\t', '\r':
			return at
		}
	}
	return at
}

// Text decodes a string; other values are "".
func Text(text []byte) string {
	if len(text) < 2 || text[0] != '"' {
		return ""
	}
	for _, c := range text {
		if c == '\\' || c >= 0x80 { // bytes that are no UTF-8 are decoded as they are elsewhere
			var decoded string
			_ = json.Unmarshal(text, &decoded) // it is valid
			return decoded
		}
	}
	return string(text[1 : len(text)-1])
}
