package admission

import "fmt"

// field says how one member of a typed object is read into a T. Tables of fields are written once per document type;
// they are the document's schema.
type field[T any] struct {
	name     string
	required bool
	read     func(*scanner, *T) error // must pass over the value
}

// record passes over the value, which must be an object, reading its known fields into target: each at most once, the
// required ones exactly once. Other members are checked and forgotten. what names the object in errors.
func record[T any](s *scanner, what string, target *T, schema []field[T]) error {
	if s.peek() != '{' {
		return s.mistyped(what)
	}
	var seen uint32 // one bit a field; no document here has more than 32
	err := s.object(func(name []byte) error {
		for i := range schema {
			f := &schema[i]
			if f.name != string(name) {
				continue
			}
			if seen&(1<<i) != 0 {
				return s.shape("duplicate field `%s`", name)
			}
			seen |= 1 << i
			return s.within(f.name, func() error { return f.read(s, target) })
		}
		_, err := s.value()
		return err
	})
	if err != nil {
		return err
	}
	for i, f := range schema {
		if f.required && seen&(1<<i) == 0 {
			return s.shape("missing field `%s`", f.name)
		}
	}
	return nil
}

// within runs read with name added to the path that errors report.
func (s *scanner) within(name string, read func() error) error {
	s.path = append(s.path, name)
	if err := read(); err != nil {
		return err // the path stays: the error was located with it, and scanning is over
	}
	s.path = s.path[:len(s.path)-1]
	return nil
}

// mistyped passes over the value and reports that it is not what was expected.
func (s *scanner) mistyped(expected string) error {
	raw, err := s.value()
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
	return s.shape("invalid type: %s, expected %s", got, expected)
}

func isInteger(number []byte) bool {
	for _, c := range number {
		if c != '-' && !isDigit(c) {
			return false
		}
	}
	return true
}

// null passes over the value if it is null and reports whether it was.
func (s *scanner) null() (bool, error) {
	if s.peek() != 'n' {
		return false, nil
	}
	return true, s.literal("null")
}

// The methods below pass over a value of a given type and return its own bytes, so that nothing is lost or re-encoded
// on its way to the guest. The optional ones return nil for null.

func (s *scanner) optional() ([]byte, error) {
	if null, err := s.null(); null || err != nil {
		return nil, err
	}
	return s.value()
}

func (s *scanner) requiredString() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.mistyped("a string")
	}
	return s.value()
}

func (s *scanner) optionalString() ([]byte, error) {
	if null, err := s.null(); null || err != nil {
		return nil, err
	}
	return s.requiredString()
}

func (s *scanner) requiredBool() ([]byte, error) {
	if c := s.peek(); c != 't' && c != 'f' {
		return nil, s.mistyped("a boolean")
	}
	return s.value()
}

func (s *scanner) optionalBool() ([]byte, error) {
	if null, err := s.null(); null || err != nil {
		return nil, err
	}
	return s.requiredBool()
}

// strings passes over a list of strings, calling each with the raw ones.
func (s *scanner) strings(each func(raw []byte)) error {
	if s.peek() != '[' {
		return s.mistyped("a sequence")
	}
	return s.array(func(i int) error {
		return s.within(fmt.Sprintf("[%d]", i), func() error {
			raw, err := s.requiredString()
			if err == nil {
				each(raw)
			}
			return err
		})
	})
}

// members passes over a map whose values are read by each.
func (s *scanner) members(each func(name string) error) error {
	if s.peek() != '{' {
		return s.mistyped("a map")
	}
	return s.object(func(name []byte) error {
		key := string(name)
		return s.within(key, func() error { return each(key) })
	})
}

// unquote returns the text of a raw JSON string that a scanner accepted; "" for nil.
func unquote(raw []byte) string {
	if len(raw) < 2 {
		return ""
	}
	return string(unescape(raw[1 : len(raw)-1]))
}
