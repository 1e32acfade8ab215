package sdk

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// named reports whether the quoted string holds text.
func named(quoted, text string) bool {
	// Decoding never lengthens, so a string shorter than the text cannot hold it.
	if len(quoted) < len(text)+2 {
		return false
	}
	if len(quoted) == len(text)+2 {
		return quoted[1:len(quoted)-1] == text && strings.IndexByte(text, '\\') < 0
	}
	return strings.IndexByte(quoted, '\\') >= 0 && unquote(quoted) == text
}

// unquote returns the text that a quoted string holds. Without escapes that is a piece of it.
func unquote(quoted string) string {
	if len(quoted) < 2 {
		return ""
	}
	inner := quoted[1 : len(quoted)-1]
	at := strings.IndexByte(inner, '\\')
	if at < 0 {
		return inner
	}
	text := make([]byte, 0, len(inner))
	for at >= 0 {
		text = append(text, inner[:at]...)
		text, inner = unescape(text, inner[at:])
		at = strings.IndexByte(inner, '\\')
	}
	return string(append(text, inner...))
}

// unescape appends what the escape at the beginning of s stands for, and returns what follows it in
// s.
func unescape(text []byte, s string) ([]byte, string) {
	if len(s) < 2 {
		return text, ""
	}
	switch s[1] {
	case 'b':
		return append(text, '\b'), s[2:]
	case 'f':
		return append(text, '\f'), s[2:]
	case 'n':
		return append(text, '\n'), s[2:]
	case 'r':
		return append(text, '\r'), s[2:]
	case 't':
		return append(text, '\t'), s[2:]
	case 'u':
		unit, rest := codeUnit(s)
		if next, after := codeUnit(rest); utf16.IsSurrogate(unit) {
			if pair := utf16.DecodeRune(unit, next); pair != utf8.RuneError {
				return utf8.AppendRune(text, pair), after
			}
		}
		return utf8.AppendRune(text, unit), rest // a lone surrogate is appended as U+FFFD
	}
	return append(text, s[1]), s[2:]
}

// codeUnit reads the \uXXXX at the beginning of s; U+FFFD, and s without its first two bytes at
// most, when there is none.
func codeUnit(s string) (unit rune, rest string) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return utf8.RuneError, s[min(2, len(s)):]
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	if err != nil {
		return utf8.RuneError, s[2:]
	}
	return rune(n), s[6:]
}

// Quote returns the JSON string that holds text. Bytes that are not UTF-8 become U+FFFD.
func Quote(text string) Value { return Value{string(appendQuoted(nil, text))} }

// appendQuoted appends text as a JSON string: quotes, backslashes and control characters escaped,
// everything else as it is.
func appendQuoted(to []byte, text string) []byte {
	to = append(to, '"')
	start := 0
	for at := 0; at < len(text); {
		b := text[at]
		if b >= ' ' && b != '"' && b != '\\' && b < utf8.RuneSelf {
			at++
			continue
		}
		size := 1
		if b >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRuneInString(text[at:]); r != utf8.RuneError || size > 1 {
				at += size
				continue
			}
		}
		to = append(to, text[start:at]...)
		to = appendEscaped(to, b)
		at += size
		start = at
	}
	to = append(to, text[start:]...)
	return append(to, '"')
}

// appendEscaped appends the escape for a byte that cannot stand in a JSON string by itself.
func appendEscaped(to []byte, b byte) []byte {
	const hex = "0123456789abcdef"
	switch b {
	case '"', '\\':
		return append(to, '\\', b)
	case '\b':
		return append(to, `\b`...)
	case '\f':
		return append(to, `\f`...)
	case '\n':
		return append(to, `\n`...)
	case '\r':
		return append(to, `\r`...)
	case '\t':
		return append(to, `\t`...)
	}
	if b >= utf8.RuneSelf {
		return utf8.AppendRune(to, utf8.RuneError)
	}
	return append(to, '\\', 'u', '0', '0', hex[b>>4], hex[b&0xf])
}
