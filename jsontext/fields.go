package jsontext

import "fmt"

// Within runs read with name added to the path that errors report.
func (s *Scanner) Within(name string, read func() error) error {
	s.path = append(s.path, name)
	if err := read(); err != nil {
		return err // the path stays: the error was located with it, and scanning is over
	}
	s.path = s.path[:len(s.path)-1]
	return nil
}

// Mistyped passes over the value and reports that it is not what was expected.
func (s *Scanner) Mistyped(expected string) error {
	raw, err := s.Value()
	if err != nil {
		return err
	}
	shown := raw[:min(len(raw), 64)]
	var got string
	switch raw[0] {
	case '{':
		got = "map"
	case '[':
		got = "sequence"
	case '"':
		got = "string " + string(shown)
	case 't', 'f':
		got = fmt.Sprintf("boolean `%s`", shown)
	case 'n':
		got = "null"
	default:
		got = fmt.Sprintf("number `%s`", shown)
		if isInteger(raw) {
			got = fmt.Sprintf("integer `%s`", shown)
		}
	}
	return s.Shape("invalid type: %s, expected %s", got, expected)
}

func isInteger(number []byte) bool {
	for _, c := range number {
		if c != '-' && !IsDigit(c) {
			return false
		}
	}
	return true
}

// Null passes over the value if it is null and reports whether it was.
func (s *Scanner) Null() (bool, error) {
	if s.Peek() != 'n' {
		return false, nil
	}
	return true, s.literal("null")
}

// The methods below pass over a value of a given type and return its own bytes, so that nothing is
// lost or re-encoded on its way to the guest. The optional ones return nil for null.

func (s *Scanner) Optional() ([]byte, error) {
	if null, err := s.Null(); null || err != nil {
		return nil, err
	}
	return s.Value()
}

func (s *Scanner) RequiredString() ([]byte, error) {
	if s.Peek() != '"' {
		return nil, s.Mistyped("a string")
	}
	return s.Value()
}

func (s *Scanner) OptionalString() ([]byte, error) {
	if null, err := s.Null(); null || err != nil {
		return nil, err
	}
	return s.RequiredString()
}

func (s *Scanner) RequiredBool() ([]byte, error) {
	if c := s.Peek(); c != 't' && c != 'f' {
		return nil, s.Mistyped("a boolean")
	}
	return s.Value()
}

func (s *Scanner) OptionalBool() ([]byte, error) {
	if null, err := s.Null(); null || err != nil {
		return nil, err
	}
	return s.RequiredBool()
}

// Strings passes over a list of strings, calling each with the raw ones.
func (s *Scanner) Strings(each func(raw []byte)) error {
	if s.Peek() != '[' {
		return s.Mistyped("a sequence")
	}
	return s.Array(func(i int) error {
		return s.Within(fmt.Sprintf("[%d]", i), func() error {
			raw, err := s.RequiredString()
			if err == nil {
				each(raw)
			}
			return err
		})
	})
}

// Members passes over a map whose values are read by each.
func (s *Scanner) Members(each func(name string) error) error {
	if s.Peek() != '{' {
		return s.Mistyped("a map")
	}
	return s.Object(func(name []byte) error {
		key := string(name)
		return s.Within(key, func() error { return each(key) })
	})
}

// Unquote returns the text of a raw JSON string that a Scanner accepted; "" for nil.
func Unquote(raw []byte) string {
	if len(raw) < 2 {
		return ""
	}
	return string(Unescape(raw[1 : len(raw)-1]))
}
