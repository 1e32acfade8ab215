package session

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"policy-server/hostcalls"
)

// text returns the question as a session file has it.
func textOf(q hostcalls.Question) (string, error) {
	node := toNode(q.Fields)
	node.Tag = "!" + q.Variant
	return encodeYAML(node)
}

func encodeYAML(value any) (string, error) {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	err := encoder.Close()
	return text.String(), err
}

// toNode writes a value of a field.
func toNode(value any) *yaml.Node {
	if isNone(value) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	switch value := value.(type) {
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}
	case int64:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(value, 10)}
	case string:
		return textNode(value)
	case *string:
		return textNode(*value)
	case []string:
		return sequence(value, textNode)
	case hostcalls.Set:
		return sequence(canonical(value), textNode)
	case hostcalls.Bytes:
		return bytesNode(value)
	case []hostcalls.Bytes:
		return sequence(value, bytesNode)
	case map[string]string:
		fields := hostcalls.Fields{}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			fields = append(fields, hostcalls.Field{Name: key, Value: value[key]})
		}
		return toNode(fields)
	case []hostcalls.Fields:
		return sequence(value, func(fields hostcalls.Fields) *yaml.Node { return toNode(fields) })
	case hostcalls.Fields:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, field := range value {
			node.Content = append(node.Content, textNode(field.Name), toNode(field.Value))
		}
		return node
	}
	panic(fmt.Sprintf("a field of a host call has type %T", value)) // a capability of ours is wrong
}

func bytesNode(data hostcalls.Bytes) *yaml.Node {
	node := sequence(data, func(b byte) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(int(b))}
	})
	node.Style = yaml.FlowStyle
	return node
}

func textNode(text string) *yaml.Node {
	var node yaml.Node
	node.SetString(text) // quoted where it would be read as something else
	return &node
}

func sequence[T any](values []T, node func(T) *yaml.Node) *yaml.Node {
	s := &yaml.Node{Kind: yaml.SequenceNode}
	for _, value := range values {
		s.Content = append(s.Content, node(value))
	}
	return s
}

// isNone reports whether value stands for null.
func isNone(value any) bool {
	switch value := value.(type) {
	case *string:
		return value == nil
	case []string:
		return value == nil
	case hostcalls.Set:
		return value == nil
	case hostcalls.Bytes:
		return value == nil
	case []hostcalls.Bytes:
		return value == nil
	case map[string]string:
		return value == nil
	case []hostcalls.Fields:
		return value == nil
	}
	return false
}

func canonical(set []string) []string { return slices.Compact(slices.Sorted(slices.Values(set))) }
