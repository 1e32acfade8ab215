package sdk

import (
	"errors"
	"strconv"
	"strings"
)

// Set returns doc with value at path, and leaves doc as it is. A path names a member at each object
// and a decimal index at each array, where "-" or the array's length appends. Parents that are
// missing or null are created as objects. The rest of the text stays byte for byte.
//
// It fails when doc or value is missing, when the path leads into a scalar, and when it names an
// element that the array does not have. Each edit copies the document once; edits compose:
//
//	pod, err := sdk.Set(pod, sdk.JSON("true"), "spec", "securityContext", "runAsNonRoot")
//	…
//	pod, err = sdk.Set(pod, sdk.Quote("gold"), "metadata", "labels", "tier")
func Set(doc, value Value, path ...string) (Value, error) {
	if !doc.Exists() || !value.Exists() {
		return Value{}, editError(path, "the document or the value is missing")
	}
	start, end := 0, len(doc.text)
	for depth, token := range path {
		inner := Value{doc.text[start:end]}
		if inner.IsNull() {
			return splice(doc, start, end, nest(value, path[depth:])), nil
		}
		place, err := locate(inner, token)
		if err != nil {
			return Value{}, editError(path[:depth+1], err.Error())
		}
		start, end = start+place.start, start+place.end
		if place.absent {
			return splice(doc, start, end, place.prefix+nest(value, path[depth+1:])), nil
		}
	}
	return splice(doc, start, end, value.text), nil
}

// Delete returns doc without what path leads to, and leaves doc as it is; where there is nothing to
// delete it returns doc itself. Elements behind a deleted one move up. It fails when doc is missing
// or path is empty.
func Delete(doc Value, path ...string) (Value, error) {
	if !doc.Exists() || len(path) == 0 {
		return Value{}, editError(path, "the document or the path is missing")
	}
	last := len(path) - 1
	parent := doc.Get(path[:last]...)
	switch {
	case !parent.Get(path[last]).Exists():
		return doc, nil
	case parent.Kind() == Array:
		return Set(doc, withoutElement(parent, path[last]), path[:last]...)
	}
	return Set(doc, withoutMember(parent, path[last]), path[:last]...)
}

// A place is where a token leads inside a container: the span of the value there or, when it is
// absent, the empty span where it belongs and what must be written before it.
type place struct {
	start, end int
	absent     bool
	prefix     string
}

// locate finds the place of token in container.
func locate(container Value, token string) (place, error) {
	switch container.Kind() {
	case Object:
		return locateMember(container.text, token)
	case Array:
		return locateElement(container.text, token)
	}
	return place{}, errors.New("there is a " + container.Kind().String() + ", not an object or array, around it")
}

var errMalformed = errors.New("the document is not JSON")

func locateMember(object, name string) (place, error) {
	c := enter(object, 0)
	found := place{absent: true}
	for {
		quoted, ok := c.member()
		if !ok {
			break
		}
		start := c.at
		if c.value(); named(quoted, name) {
			found = place{start: start, end: c.at}
		}
	}
	if c.at == malformed {
		return place{}, errMalformed
	}
	if found.absent {
		found = atEnd(c)
		found.prefix += Quote(name).text + ":"
	}
	return found, nil
}

func locateElement(array, token string) (place, error) {
	wanted, isIndex := index(token)
	c := enter(array, 0)
	n := 0
	for ; c.element(); n++ {
		start := c.at
		if c.value(); isIndex && n == wanted && c.at != malformed {
			return place{start: start, end: c.at}, nil
		}
	}
	if c.at == malformed {
		return place{}, errMalformed
	}
	if token == "-" || isIndex && wanted == n {
		return atEnd(c), nil
	}
	return place{}, errors.New("the array around it has " + strconv.Itoa(n) + " elements")
}

// atEnd is the place before the closing bracket that c has just passed.
func atEnd(c cursor) place {
	end := place{start: c.at - 1, end: c.at - 1, absent: true}
	if c.steps > 0 {
		end.prefix = ","
	}
	return end
}

// nest returns value inside an object for each name of path. It makes no arrays: "0" is a name
// here.
func nest(value Value, path []string) string {
	var text strings.Builder
	for _, name := range path {
		text.WriteString("{" + Quote(name).text + ":")
	}
	text.WriteString(value.text)
	text.WriteString(strings.Repeat("}", len(path)))
	return text.String()
}

func splice(doc Value, start, end int, text string) Value {
	return Value{doc.text[:start] + text + doc.text[end:]}
}

// withoutMember returns object written anew without any member of this name.
func withoutMember(object Value, name string) Value {
	var text strings.Builder
	text.Grow(len(object.text))
	c := enter(object.text, 0)
	for separator := "{"; ; {
		quoted, ok := c.member()
		if !ok {
			break
		}
		member := c.value()
		if named(quoted, name) {
			continue
		}
		text.WriteString(separator + quoted + ":" + member)
		separator = ","
	}
	return closed(&text, "{", "}")
}

// withoutElement returns array written anew without the element that token names.
func withoutElement(array Value, token string) Value {
	var text strings.Builder
	text.Grow(len(array.text))
	unwanted, _ := index(token)
	c := enter(array.text, 0)
	separator := "["
	for n := 0; c.element(); n++ {
		element := c.value()
		if n == unwanted {
			continue
		}
		text.WriteString(separator + element)
		separator = ","
	}
	return closed(&text, "[", "]")
}

// closed ends the container whose parts are in text, and opens it too when there are none.
func closed(text *strings.Builder, opening, closing string) Value {
	if text.Len() == 0 {
		text.WriteString(opening)
	}
	text.WriteString(closing)
	return Value{text.String()}
}

func editError(path []string, reason string) error {
	return errors.New("edit " + strconv.Quote(strings.Join(path, ".")) + ": " + reason)
}
