// Package faults reads policies' settings and collects everything that is wrong with them, each
// fault with its path in the settings. It knows JSON's types, and no policy's rules.
package faults

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"policy-server/sdk"
)

// A List of what is wrong. The zero List is empty.
type List []string

// Add says what is wrong at path, such as "images.allow[2]"; "" is the settings as a whole.
func (l *List) Add(path string, what ...string) {
	if path != "" {
		what = append([]string{strconv.Quote(path), ": "}, what...)
	}
	*l = append(*l, strings.Join(what, ""))
}

// Err returns all faults as one error, in an order that does not depend on the order of the
// settings; nil when there are none.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return errors.New(strings.Join(slices.Compact(slices.Sorted(slices.Values(l))), "; "))
}

// Member returns the path of a member of what is at path.
func Member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// Element returns the path of an element of what is at path.
func Element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// Object reports whether value is an object with none but known members, and adds what it is
// instead.
func (l *List) Object(path string, value sdk.Value, known ...string) bool {
	if !l.is(path, value, sdk.Object, "an object") {
		return false
	}
	for name := range value.Fields() {
		if !slices.Contains(known, name) {
			l.Add(Member(path, name), "unknown field; known: ", strings.Join(known, ", "))
		}
	}
	return true
}

// Text returns the text of a string that must be there and not be empty.
func (l *List) Text(path string, value sdk.Value) string {
	text, _ := value.Text()
	if l.is(path, value, sdk.String, "a string") && text == "" {
		l.Add(path, "must not be empty")
	}
	return text
}

// Optional is Text for a string that may be left out, as missing or as null.
func (l *List) Optional(path string, value sdk.Value) string {
	if !given(value) {
		return ""
	}
	return l.Text(path, value)
}

// Texts returns the texts of an array of strings. One that is missing or null has none.
func (l *List) Texts(path string, value sdk.Value) (texts []string) {
	for i, element := range l.Elements(path, value, "strings") {
		texts = append(texts, l.Text(Element(path, i), element))
	}
	return texts
}

// Elements returns the elements of an array, of what the plural of says for messages. One that is
// missing or null has none.
func (l *List) Elements(path string, value sdk.Value, of string) []sdk.Value {
	if !given(value) || !l.is(path, value, sdk.Array, "an array of "+of) {
		return nil
	}
	return slices.Collect(value.Each())
}

// TextMap returns the members of an object of strings. One that is missing or null gives nil.
func (l *List) TextMap(path string, value sdk.Value) map[string]string {
	if !given(value) || !l.is(path, value, sdk.Object, "an object of strings") {
		return nil
	}
	texts := map[string]string{}
	for name, member := range value.Fields() {
		texts[name], _ = member.Text()
		l.is(Member(path, name), member, sdk.String, "a string")
	}
	return texts
}

// Bool returns a truth value, and fallback for one that is missing or null.
func (l *List) Bool(path string, value sdk.Value, fallback bool) bool {
	if !given(value) {
		return fallback
	}
	l.is(path, value, sdk.Bool, "true or false")
	return value.IsTrue()
}

// OneOf returns a string that must be one of those known.
func (l *List) OneOf(path string, value sdk.Value, known ...string) string {
	text := l.Text(path, value)
	if text != "" && !slices.Contains(known, text) {
		l.Add(path, "unknown value ", strconv.Quote(text), "; known: ", strings.Join(known, ", "))
	}
	return text
}

func given(value sdk.Value) bool { return value.Exists() && !value.IsNull() }

func (l *List) is(path string, value sdk.Value, kind sdk.Kind, what string) bool {
	if value.Kind() == kind {
		return true
	}
	l.Add(path, "must be ", what, ", not ", value.Kind().String())
	return false
}
