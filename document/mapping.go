package document

import (
	"iter"
	"slices"
)

// Mapping is a mapping whose keys are text. The zero value is empty. A field is asked for by what
// null means to it:
//
//	Field     null is a value of the wrong kind, unless the field takes it
//	Optional  null is the same as no key
//	Required  null is missing
type Mapping struct {
	Value
	keys   []string
	fields map[string]Value
}

// Mapping returns v as a mapping; false when it is absent or something else. Keys that are there
// twice are faults, and the first counts.
func (v Value) Mapping() (Mapping, bool) {
	m := Mapping{Value: v, fields: map[string]Value{}}
	ok := v.members(func(key, value Value) {
		name := key.node.Value
		if _, twice := m.fields[name]; twice {
			v.add(Fault{Problem: Duplicate, Key: name}, key.node)
			return
		}
		m.keys = append(m.keys, name)
		m.fields[name] = value
	})
	return m, ok
}

// Pairs returns the keys and values of a mapping in order, keys that are there twice as well;
// nothing when v is absent or something else.
func (v Value) Pairs() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		more := true
		v.members(func(key, value Value) { more = more && yield(key.node.Value, value) })
	}
}

// members calls read for each member of a mapping whose key is text. What else may be there are
// faults.
func (v Value) members(read func(key, value Value)) bool {
	switch kind := v.Kind(); {
	case kind == Absent:
		return false
	case kind != Map && !v.isNothing():
		v.Mismatch(WantMapping)
		return false
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := Value{follow(v.node.Content[i]), v.path, v.source}
		if _, ok := key.Scalar(); !ok {
			key.Mismatch(WantKey)
			continue
		}
		read(key, Value{follow(v.node.Content[i+1]), Join(v.path, key.node.Value), v.source})
	}
	return true
}

// Field returns the value under key.
func (m Mapping) Field(key string) Value {
	if value, ok := m.fields[key]; ok {
		return value
	}
	return Value{nil, Join(m.path, key), m.source}
}

// Optional returns the value under key, absent if it is null.
func (m Mapping) Optional(key string) Value { return m.Field(key).Optional() }

// Required returns the value under key. That there is none, or null, is a fault.
func (m Mapping) Required(key string) Value {
	value := m.Field(key)
	if !value.Exists() || value.Kind() == Null && !value.isNothing() {
		m.add(Fault{Problem: Missing, Key: key}, m.node)
		value.node = nil
	}
	return value
}

// Each returns the keys and values in order, null ones as well.
func (m Mapping) Each() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, key := range m.keys {
			if !yield(key, m.fields[key]) {
				return
			}
		}
	}
}

// Only makes all keys faults but the known ones.
func (m Mapping) Only(known ...string) {
	for _, key := range m.keys {
		if !slices.Contains(known, key) {
			m.add(Fault{Problem: Unknown, Key: key, Known: known}, m.fields[key].node)
		}
	}
}

// Unknown returns the paths of all keys but the known ones, for files that are shared with other
// tools.
func (m Mapping) Unknown(known ...string) (paths []string) {
	for _, key := range m.keys {
		if !slices.Contains(known, key) {
			paths = append(paths, m.fields[key].path)
		}
	}
	return paths
}
