package session

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"policy-server/document"
	"policy-server/hostcalls"
)

// textOf returns the question as a session file has it.
func textOf(q hostcalls.Question) (string, error) {
	return written(q.Fields).Tagged("!" + q.Variant).YAML()
}

// written returns a value of a field as it is written.
func written(value any) document.Value {
	if isNone(value) {
		return document.NewNull()
	}
	switch value := value.(type) {
	case bool:
		return document.NewTruth(value)
	case int64:
		return document.NewNumber(value)
	case byte:
		return document.NewNumber(int64(value))
	case string:
		return document.NewText(value)
	case *string:
		return document.NewText(*value)
	case []string:
		return list(value)
	case hostcalls.Set:
		return list(canonical(value))
	case hostcalls.Bytes:
		return list(value).OnOneLine()
	case []hostcalls.Bytes:
		return list(value)
	case []hostcalls.Fields:
		return list(value)
	case map[string]string:
		fields := hostcalls.Fields{}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			fields = append(fields, hostcalls.Field{Name: key, Value: value[key]})
		}
		return written(fields)
	case hostcalls.Fields:
		var pairs []document.Value
		for _, field := range value {
			pairs = append(pairs, document.NewText(field.Name), written(field.Value))
		}
		return document.NewMapping(pairs...)
	}
	panic(fmt.Sprintf("a field of a host call has type %T", value)) // a capability of ours is wrong
}

func list[T any](values []T) document.Value {
	var items []document.Value
	for _, value := range values {
		items = append(items, written(value))
	}
	return document.NewList(items...)
}

// isNone reports whether value stands for null. Fields never do: without any they are a mapping.
func isNone(value any) bool {
	v := reflect.ValueOf(value)
	_, isFields := value.(hostcalls.Fields)
	return !isFields && slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, v.Kind()) && v.IsNil()
}

func canonical(set []string) []string { return slices.Compact(slices.Sorted(slices.Values(set))) }
