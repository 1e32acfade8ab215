package session

import (
	"maps"
	"slices"
	"strconv"

	"policy-server/document"
	"policy-server/hostcalls"
)

// asks reports whether q is what an exchange of a file asks: the same variant, and the same fields
// as far as q has them.
func (e exchange) asks(q hostcalls.Question) bool {
	tag, fields := e.request.Tag()
	return tag == "!"+q.Variant && matches(q.Fields, fields)
}

// matches compares a value of a field with what a file says. Keys of the file that the field does
// not have are ignored.
func matches(value any, recorded document.Value) bool {
	recorded = recorded.Optional()
	if isNone(value) || !recorded.Exists() {
		return isNone(value) && !recorded.Exists()
	}
	switch value := value.(type) {
	case hostcalls.Fields:
		m, ok := recorded.Mapping()
		return ok && !slices.ContainsFunc(value, func(f hostcalls.Field) bool { return !matches(f.Value, m.Field(f.Name)) })
	case []hostcalls.Fields:
		return matchesEach(value, recorded)
	case []hostcalls.Bytes:
		return matchesEach(value, recorded)
	case []string:
		return matchesEach(value, recorded)
	case hostcalls.Bytes:
		return matchesEach(value, recorded)
	case hostcalls.Set:
		return recorded.Kind() == document.List && slices.Equal(canonical(recorded.TextList()), canonical(value))
	case map[string]string:
		return recorded.Kind() == document.Map && maps.Equal(recorded.TextMap(), value)
	case bool:
		return recorded.Kind() == document.Truth && recorded.Truth(!value) == value
	case int64:
		return recorded.Number() == strconv.FormatInt(value, 10)
	case byte:
		return recorded.Number() == strconv.Itoa(int(value))
	case *string:
		return matches(*value, recorded)
	}
	text, ok := recorded.Scalar()
	return ok && text == value
}

func matchesEach[T any](values []T, recorded document.Value) bool {
	return recorded.Kind() == document.List && slices.EqualFunc(values, recorded.List(),
		func(value T, item document.Value) bool { return matches(value, item) })
}
