package sdk

import (
	"iter"
	"strconv"
)

// A Value is one JSON value, read where it stands: it is a piece of the text it came from, nothing
// is decoded before it is asked for, and reading does not allocate except where a method says so.
// The zero Value is the missing one: it stands for what is not there, and every method accepts it,
// so that a path through absent members needs no checks on its way. Values are immutable and may be
// shared and kept.
//
// Values come from the host, which has checked their text, and from JSON, which checks it.
type Value struct{ text string }

// JSON returns the value that text holds, with white space around it allowed. A text that is not
// exactly one JSON value in UTF-8 (RFC 8259), or nests deeper than 10 000 containers, gives the
// missing Value.
func JSON(text string) Value {
	start := skipSpace(text, 0)
	end, ok := check(text, start)
	if !ok || skipSpace(text, end) != len(text) {
		return Value{}
	}
	return Value{text[start:end]}
}

// Kind says which of JSON's types a Value has.
type Kind uint8

// The kinds of values. Missing is the kind of the zero Value, and of text that turns out not to be
// JSON.
const (
	Missing Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// String returns the kind's name in lower case, for messages: "missing", "null", "bool", "number",
// "string", "array" or "object".
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "bool"
	case Number:
		return "number"
	case String:
		return "string"
	case Array:
		return "array"
	case Object:
		return "object"
	}
	return "missing"
}

// Kind returns the value's kind. It looks at the value's first byte, and at the whole of a literal.
func (v Value) Kind() Kind {
	if v.text == "" {
		return Missing
	}
	switch first := v.text[0]; {
	case first == '{':
		return Object
	case first == '[':
		return Array
	case first == '"' && len(v.text) > 1:
		return String
	case first == '-' || '0' <= first && first <= '9':
		return Number
	case v.text == "true" || v.text == "false":
		return Bool
	case v.text == "null":
		return Null
	}
	return Missing
}

// Exists reports whether the value is there. A null is there.
func (v Value) Exists() bool { return v.text != "" }

// IsNull reports whether the value is null. A missing value is not.
func (v Value) IsNull() bool { return v.text == "null" }

// IsTrue reports whether the value is true; the string "true" and the number 1 are not.
func (v Value) IsTrue() bool { return v.text == "true" }

// Raw returns the value's JSON text as it stands in the document; empty for a missing value.
func (v Value) Raw() string { return v.text }

// String returns the JSON text, as Raw. Text decodes strings.
func (v Value) String() string { return v.text }

// Get returns what path leads to: the name of a member at each object, a decimal index at each
// array. It returns the missing Value when there is nothing, and v itself for no path. When an
// object holds a name twice the last one counts. The cost is one pass over v, whatever the path's
// length: one Get with a long path is cheaper than several with short ones.
func (v Value) Get(path ...string) Value {
	if v.text == "" {
		return Value{}
	}
	found, _ := find(v.text, 0, path)
	return Value{found}
}

// Index returns the element at i of an array, and the missing Value when v has none there. It
// passes over the elements before; to visit all use Each.
func (v Value) Index(i int) Value {
	if v.Kind() != Array || i < 0 {
		return Value{}
	}
	c := enter(v.text, 0)
	for n := 0; c.element(); n++ {
		if text := c.value(); n == i {
			return Value{text}
		}
	}
	return Value{}
}

// Each yields the elements of an array in order; none for values of other kinds.
func (v Value) Each() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		c := enter(v.text, 0)
		for c.element() {
			text := c.value()
			if text == "" || !yield(Value{text}) {
				return
			}
		}
	}
}

// Fields yields the members of an object in the document's order, a repeated name as often as it
// occurs; none for values of other kinds. A name allocates when it has escapes.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() != Object {
			return
		}
		c := enter(v.text, 0)
		for {
			name, ok := c.member()
			if !ok {
				return
			}
			text := c.value()
			if text == "" || !yield(unquote(name), Value{text}) {
				return
			}
		}
	}
}

// Len returns the number of elements of an array or of members of an object, counting a repeated
// name as often as it occurs; 0 for values of other kinds. It passes over the whole value.
func (v Value) Len() int {
	n := 0
	switch v.Kind() {
	case Array:
		for range v.Each() {
			n++
		}
	case Object:
		c := enter(v.text, 0)
		for _, ok := c.member(); ok && c.value() != ""; _, ok = c.member() {
			n++
		}
	}
	return n
}

// Text returns the text of a string, decoded; ok is false for values of other kinds. It allocates
// only when the string has escapes. An escaped surrogate without its pair becomes U+FFFD, as in
// encoding/json.
func (v Value) Text() (text string, ok bool) {
	if v.Kind() != String {
		return "", false
	}
	return unquote(v.text), true
}

// Is reports whether the value is a string with this text.
func (v Value) Is(text string) bool { return v.Kind() == String && named(v.text, text) }

// Bool returns the value of true or false; ok is false for values of other kinds.
func (v Value) Bool() (value, ok bool) { return v.text == "true", v.Kind() == Bool }

// Int returns the value of a number without fraction or exponent that fits 64 bits; ok is false for
// anything else.
func (v Value) Int() (n int64, ok bool) {
	if v.Kind() != Number {
		return 0, false
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	return n, err == nil
}

// Float returns the value of a number, rounded to the nearest float64; ok is false for values of
// other kinds and for numbers too large.
func (v Value) Float() (f float64, ok bool) {
	if v.Kind() != Number {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	return f, err == nil
}
