package admission

import "policy-server/jsontext"

// field says how one member of a typed object is read into a T. Tables of fields are written once
// per document type; they are the document's schema.
type field[T any] struct {
	name     string
	required bool
	read     func(*jsontext.Scanner, *T) error // must pass over the value
}

// record passes over the value, which must be an object, reading its known fields into target: each
// at most once, the required ones exactly once. Other members are checked and forgotten. what names
// the object in errors.
func record[T any](s *jsontext.Scanner, what string, target *T, schema []field[T]) error {
	if s.Peek() != '{' {
		return s.Mistyped(what)
	}
	var seen uint32 // one bit a field; no document here has more than 32
	err := s.Object(func(name []byte) error {
		for i := range schema {
			f := &schema[i]
			if f.name != string(name) {
				continue
			}
			if seen&(1<<i) != 0 {
				return s.Shape("duplicate field `%s`", name)
			}
			seen |= 1 << i
			return s.Within(f.name, func() error { return f.read(s, target) })
		}
		_, err := s.Value()
		return err
	})
	if err != nil {
		return err
	}
	for i, f := range schema {
		if f.required && seen&(1<<i) == 0 {
			return s.Shape("missing field `%s`", f.name)
		}
	}
	return nil
}
