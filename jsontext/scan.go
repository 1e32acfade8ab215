// Package jsontext reads JSON as text, without making Go values of it: a Scanner that checks a
// whole document and hands out pieces of it, a walk over documents that are known to be valid, and
// the writing of strings. It knows no documents.
//
// Grammar: RFC 8259.
package jsontext

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how many containers may be nested. 127 is what upstream's parser allows, so a
// document is refused here exactly when it was refused there; it also bounds the recursion of those
// who read with a Scanner.
const maxDepth = 127

// Scanner walks one JSON document from left to right, checking everything it passes over: grammar,
// UTF-8, surrogate pairs, the range of numbers, nesting. After an error its position is
// meaningless.
type Scanner struct {
	data  []byte
	pos   int
	depth int
	path  []string // the fields being read, for errors
}

// NewScanner returns a scanner at the beginning of data, which it does not change.
func NewScanner(data []byte) *Scanner { return &Scanner{data: data} }

// Check returns a *SyntaxError unless data is one JSON document.
func Check(data []byte) error {
	s := NewScanner(data)
	if _, err := s.Value(); err != nil {
		return err
	}
	return s.End()
}

func (s *Scanner) syntax(format string, args ...any) error {
	line, column := s.position()
	return &SyntaxError{Path: s.dotted(), Reason: fmt.Sprintf(format, args...), Line: line, Column: column}
}

// Shape returns a *ShapeError at the present position.
func (s *Scanner) Shape(format string, args ...any) error {
	line, column := s.position()
	return &ShapeError{Path: s.dotted(), Reason: fmt.Sprintf(format, args...), Line: line, Column: column}
}

func (s *Scanner) position() (line, column int) {
	read := s.data[:min(s.pos, len(s.data))]
	return 1 + bytes.Count(read, []byte{'\n'}), len(read) - (bytes.LastIndexByte(read, '\n') + 1)
}

func (s *Scanner) dotted() string {
	var b []byte
	for i, field := range s.path {
		if i > 0 && !strings.HasPrefix(field, "[") {
			b = append(b, '.')
		}
		b = append(b, field...)
	}
	return string(b)
}

func (s *Scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// Peek returns the first byte of the next token, 0 at the end of the document (a NUL byte begins no
// token either).
func (s *Scanner) Peek() byte {
	s.space()
	if s.pos == len(s.data) {
		return 0
	}
	return s.data[s.pos]
}

// End checks that only white space is left.
func (s *Scanner) End() error {
	if s.Peek(); s.pos < len(s.data) {
		s.pos++
		return s.syntax("trailing characters")
	}
	return nil
}

// Value passes over one value of any type and returns its bytes, which alias the document.
func (s *Scanner) Value() ([]byte, error) {
	first := s.Peek()
	start := s.pos
	var err error
	switch first {
	case '{':
		err = s.Object(nil)
	case '[':
		err = s.Array(nil)
	case '"':
		_, err = s.quoted()
	case 't':
		err = s.literal("true")
	case 'f':
		err = s.literal("false")
	case 'n':
		err = s.literal("null")
	default:
		err = s.number()
	}
	return s.data[start:s.pos], err
}

// Raw returns the bytes of the value that read passes over. They alias the document.
func (s *Scanner) Raw(read func() error) ([]byte, error) {
	s.space()
	start := s.pos
	err := read()
	return s.data[start:s.pos], err
}

// Object passes over an object, calling field for each member with the member's name; field must
// pass over the value. Without field the members are only checked.
func (s *Scanner) Object(field func(name []byte) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	if s.Peek() == '}' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if c := s.Peek(); c != '"' {
			return s.unexpected(c, "key must be a string", "EOF while parsing an object")
		}
		name, err := s.quoted()
		if err != nil {
			return err
		}
		if c := s.Peek(); c != ':' {
			return s.unexpected(c, "expected `:`", "EOF while parsing an object")
		}
		s.pos++
		if field == nil {
			_, err = s.Value()
		} else {
			err = field(Unescape(name))
		}
		if err != nil {
			return err
		}
		switch c := s.Peek(); c {
		case ',':
			s.pos++
			if s.Peek() == '}' {
				s.pos++
				return s.syntax("trailing comma")
			}
		case '}':
			s.pos++
			s.depth--
			return nil
		default:
			return s.unexpected(c, "expected `,` or `}`", "EOF while parsing an object")
		}
	}
}

// Array passes over an array, calling element with each index; element must pass over the value.
// Without element the values are only checked.
func (s *Scanner) Array(element func(i int) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	if s.Peek() == ']' {
		s.pos++
		s.depth--
		return nil
	}
	for i := 0; ; i++ {
		var err error
		if element == nil {
			_, err = s.Value()
		} else {
			err = element(i)
		}
		if err != nil {
			return err
		}
		switch c := s.Peek(); c {
		case ',':
			s.pos++
			if s.Peek() == ']' {
				s.pos++
				return s.syntax("trailing comma")
			}
		case ']':
			s.pos++
			s.depth--
			return nil
		default:
			return s.unexpected(c, "expected `,` or `]`", "EOF while parsing a list")
		}
	}
}

// enter steps over an opening bracket.
func (s *Scanner) enter() error {
	s.pos++
	if s.depth++; s.depth > maxDepth {
		return s.syntax("recursion limit exceeded")
	}
	return nil
}

func (s *Scanner) unexpected(c byte, otherwise, atEnd string) error {
	if c == 0 && s.pos >= len(s.data) {
		return s.syntax("%s", atEnd)
	}
	s.pos++
	return s.syntax("%s", otherwise)
}

func (s *Scanner) literal(word string) error {
	for i := range len(word) {
		if s.pos >= len(s.data) {
			return s.syntax("EOF while parsing a value")
		}
		s.pos++
		if s.data[s.pos-1] != word[i] {
			return s.syntax("expected ident")
		}
	}
	return nil
}

// quoted passes over a string and returns what stands between its quotes, escapes included.
func (s *Scanner) quoted() ([]byte, error) {
	s.pos++
	start := s.pos
	ascii := true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			inner := s.data[start:s.pos]
			s.pos++
			if !ascii && !utf8.Valid(inner) {
				return nil, s.syntax("invalid unicode code point")
			}
			return inner, nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < 0x20:
			s.pos++
			return nil, s.syntax("control character (\\u0000-\\u001F) found while parsing a string")
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.pos++
		}
	}
	return nil, s.syntax("EOF while parsing a string")
}

// escape passes over one escape sequence; a surrogate must be followed by its other half.
func (s *Scanner) escape() error {
	s.pos++
	if s.pos >= len(s.data) {
		return s.syntax("EOF while parsing a string")
	}
	c := s.data[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		return s.unicodeEscape()
	}
	return s.syntax("invalid escape")
}

func (s *Scanner) unicodeEscape() error {
	high, err := s.hex()
	if err != nil || !utf16.IsSurrogate(high) {
		return err
	}
	if !bytes.HasPrefix(s.data[s.pos:], []byte(`\u`)) {
		return s.syntax("unexpected end of hex escape")
	}
	s.pos += 2
	low, err := s.hex()
	if err != nil {
		return err
	}
	if utf16.DecodeRune(high, low) == utf8.RuneError {
		return s.syntax("lone leading surrogate in hex escape")
	}
	return nil
}

func (s *Scanner) hex() (rune, error) {
	if len(s.data)-s.pos < 4 {
		s.pos = len(s.data)
		return 0, s.syntax("EOF while parsing a string")
	}
	n, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 16)
	s.pos += 4
	if err != nil {
		return 0, s.syntax("invalid escape")
	}
	return rune(n), nil
}

// number passes over a number. Anything that begins no other token ends up here.
func (s *Scanner) number() error {
	start := s.pos
	if start >= len(s.data) {
		return s.syntax("EOF while parsing a value")
	}
	if s.data[s.pos] == '-' {
		s.pos++
	}
	switch c := s.at(); {
	case c == '0':
		s.pos++
		if IsDigit(s.at()) {
			s.pos++
			return s.syntax("invalid number")
		}
	case IsDigit(c):
		s.digits()
	case s.pos == start:
		s.pos++
		return s.syntax("expected value")
	default:
		return s.unexpected(c, "invalid number", "EOF while parsing a value")
	}
	fraction, exponent := s.at() == '.', false
	if fraction {
		s.pos++
		if !s.digits() {
			return s.unexpected(s.at(), "invalid number", "EOF while parsing a value")
		}
	}
	if c := s.at(); c == 'e' || c == 'E' {
		exponent = true
		s.pos++
		if c := s.at(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.unexpected(s.at(), "invalid number", "EOF while parsing a value")
		}
	}
	// Only an exponent or some 300 digits can exceed a 64-bit float; all other numbers need no
	// conversion.
	if exponent || s.pos-start > 300 {
		if _, err := strconv.ParseFloat(string(s.data[start:s.pos]), 64); err != nil {
			return s.syntax("number out of range")
		}
	}
	return nil
}

func (s *Scanner) at() byte {
	if s.pos >= len(s.data) {
		return 0
	}
	return s.data[s.pos]
}

// digits passes over digits and reports whether there was one.
func (s *Scanner) digits() bool {
	start := s.pos
	for IsDigit(s.at()) {
		s.pos++
	}
	return s.pos > start
}

// IsDigit reports whether c is a decimal digit.
func IsDigit(c byte) bool { return '0' <= c && c <= '9' }
