package session

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"policy-server/hostcalls"
)

// asks reports whether q is what an exchange of a file asks: the same variant, and the same fields as far as q has them.
func asks(q hostcalls.Question, recorded *yaml.Node) bool {
	return recorded.Tag == "!"+q.Variant && matches(q.Fields, recorded)
}

// matches compares a value of a field with what a file says. Keys of the file that the field does not have are ignored.
func matches(value any, recorded *yaml.Node) bool {
	switch value := value.(type) {
	case hostcalls.Fields:
		if isNull(recorded) || recorded.Kind != yaml.MappingNode {
			return false
		}
		for _, field := range value {
			if !matches(field.Value, member(recorded, field.Name)) {
				return false
			}
		}
		return true
	case []hostcalls.Fields:
		if value == nil {
			return isNull(recorded)
		}
		return recorded != nil && recorded.Kind == yaml.SequenceNode && slices.EqualFunc(value, recorded.Content,
			func(fields hostcalls.Fields, element *yaml.Node) bool { return matches(fields, dereference(element)) })
	case []hostcalls.Bytes:
		if value == nil {
			return isNull(recorded)
		}
		return recorded != nil && recorded.Kind == yaml.SequenceNode && slices.EqualFunc(value, recorded.Content,
			func(data hostcalls.Bytes, element *yaml.Node) bool { return matchesPlain(data, dereference(element)) })
	}
	return matchesPlain(value, recorded)
}

// matchesPlain compares values without parts of their own: what the file says is decoded as one like them.
func matchesPlain(value any, recorded *yaml.Node) bool {
	if isNull(recorded) {
		return isNone(value)
	}
	switch value := value.(type) {
	case bool:
		return decodes(recorded, func(got bool) bool { return got == value })
	case int64:
		return decodes(recorded, func(got int64) bool { return got == value })
	case string:
		return decodes(recorded, func(got string) bool { return got == value })
	case *string:
		return value != nil && decodes(recorded, func(got string) bool { return got == *value })
	case []string:
		return value != nil && decodes(recorded, func(got []string) bool { return slices.Equal(got, value) })
	case hostcalls.Set:
		return value != nil && decodes(recorded, func(got []string) bool { return slices.Equal(canonical(got), canonical(value)) })
	case hostcalls.Bytes:
		return value != nil && decodes(recorded, func(got []int) bool {
			return slices.EqualFunc(got, value, func(n int, b byte) bool { return n == int(b) })
		})
	case map[string]string:
		return value != nil && decodes(recorded, func(got map[string]string) bool { return maps.Equal(got, value) })
	}
	return false
}

func decodes[T any](node *yaml.Node, test func(T) bool) bool {
	var got T
	return node.Decode(&got) == nil && test(got)
}

// member returns the value of a mapping's key, nil when it has none.
func member(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return dereference(mapping.Content[i+1])
		}
	}
	return nil
}

func dereference(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}
