package document

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Value is a value of a document, or none: the zero value is absent. Reading an absent value gives
// nothing and is no fault; whether one must be there is asked of its mapping.
type Value struct {
	node   *yaml.Node // nil: absent; never an alias
	path   string
	source *source // nil when code made the value
}

// Kind is what a value is.
type Kind int

// The kinds. A value with a tag that its kind does not have is Tagged, whatever it looks like.
const (
	Absent Kind = iota
	Null
	Truth
	Number
	Text
	List
	Map
	Tagged
)

// Kind returns what v is.
func (v Value) Kind() Kind {
	switch n := v.node; {
	case n == nil:
		return Absent
	case n.Kind == yaml.ScalarNode:
		kind, _ := resolve(n)
		return kind
	case n.Kind == yaml.SequenceNode && n.ShortTag() == "!!seq":
		return List
	case n.Kind == yaml.MappingNode && n.ShortTag() == "!!map":
		return Map
	}
	return Tagged
}

// Exists reports whether v is not absent.
func (v Value) Exists() bool { return v.node != nil }

// Optional returns v, absent if it is null.
func (v Value) Optional() Value {
	if v.Kind() == Null {
		v.node = nil
	}
	return v
}

// Text returns a string, "" when v is absent or something else. Numbers and truths are no strings:
// what their author wrote may be spelled otherwise (1.0 and 1, yes and true).
func (v Value) Text() string {
	switch v.Kind() {
	case Absent:
		return ""
	case Text:
		return v.node.Value
	case Null, Truth, Number:
		if v.source.asWanted {
			return v.node.Value
		}
	}
	v.Mismatch(WantText)
	return ""
}

// Truth returns a truth, fallback when v is absent or something else.
func (v Value) Truth(fallback bool) bool {
	switch v.Kind() {
	case Absent:
		return fallback
	case Truth:
		_, literal := resolve(v.node)
		return literal == "true"
	}
	v.Mismatch(WantTruth)
	return fallback
}

// Whole returns a whole number, fallback when v is absent or something else.
func (v Value) Whole(fallback int) int {
	if !v.Exists() {
		return fallback
	}
	number, err := strconv.Atoi(v.Number())
	if err != nil {
		v.Mismatch(WantWhole)
		return fallback
	}
	return number
}

// Number returns a number as JSON writes it; "" when v is none, or a whole number beyond 64 bits.
// That is no fault.
func (v Value) Number() string {
	if v.Kind() != Number {
		return ""
	}
	_, literal := resolve(v.node)
	return literal
}

// Scalar returns the text of a null, a truth, a number or a string as it was written, and "null"
// for a null; false when v is something else. That is no fault.
func (v Value) Scalar() (string, bool) {
	switch v.Kind() {
	case Null:
		return "null", true
	case Truth, Number, Text:
		return v.node.Value, true
	}
	return "", false
}

// List returns the items of a list, nil when v is absent or something else.
func (v Value) List() []Value {
	switch kind := v.Kind(); {
	case kind == Absent:
		return nil
	case kind != List && !v.isNothing():
		v.Mismatch(WantList)
		return nil
	}
	items := make([]Value, len(v.node.Content))
	for i, item := range v.node.Content {
		items[i] = Value{follow(item), Element(v.path, i), v.source}
	}
	return items
}

// TextList returns a list of strings, nil when v is absent or something else.
func (v Value) TextList() []string {
	items := v.List()
	if items == nil {
		return nil
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.Text()
	}
	return texts
}

// TextMap returns a mapping of strings, nil when v is absent or something else.
func (v Value) TextMap() map[string]string {
	m, ok := v.Mapping()
	if !ok {
		return nil
	}
	texts := map[string]string{}
	for key, value := range m.Each() {
		texts[key] = value.Text()
	}
	return texts
}

// isNothing reports whether nothing is written where v stands, and that is as good as an empty list
// or mapping.
func (v Value) isNothing() bool { return v.source.asWanted && isEmpty(v.node) }

// Tag returns v's tag, and v without it.
func (v Value) Tag() (string, Value) {
	if v.node == nil {
		return "", v
	}
	untagged := *v.node
	untagged.Tag = ""
	return v.node.Tag, Value{&untagged, v.path, v.source}
}

// Fault adds a fault of v.
func (v Value) Fault(format string, args ...any) {
	v.add(Fault{Text: fmt.Sprintf(format, args...)}, v.node)
}

// Mismatch adds the fault that v is not what is wanted: a noun phrase.
func (v Value) Mismatch(want string) { v.add(Fault{Problem: Mismatch, Want: want, Got: v}, v.node) }

// add adds a fault at v's path, and at the place of node in the file.
func (v Value) add(fault Fault, node *yaml.Node) {
	fault.Path = v.path
	if node != nil {
		fault.Line, fault.Column = node.Line, node.Column
	}
	v.source.faults.found = append(v.source.faults.found, fault)
}

// Describe names what v is, for messages about what it should have been.
func (v Value) Describe() string {
	switch v.Kind() {
	case Absent:
		return "nothing"
	case Null:
		return "null"
	case Truth:
		return "the boolean " + v.node.Value
	case Number:
		return "the number " + v.node.Value
	case Text:
		return fmt.Sprintf("the string %q", v.node.Value)
	case List:
		return "a list"
	case Map:
		return "a mapping"
	}
	return fmt.Sprintf("a value tagged %q", v.node.ShortTag())
}
