package hostcalls

// Question is a host call as session files know it: the name of a variant, and its fields in the
// order they are written.
type Question struct {
	Variant string
	Fields  Fields
}

// Fields are the fields of a Question or of a part of one.
type Fields []Field

// Field is one of them. Its value is a bool, int64, string, *string, []string, Set, Bytes, []Bytes,
// map[string]string, Fields or []Fields; a nil pointer, slice or map is written as null, and null
// equals a field that is not there.
type Field struct {
	Name  string
	Value any
}

// Set is a list of strings whose order and repetitions mean nothing.
type Set []string
