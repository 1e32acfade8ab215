package verify

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mapping returns the YAML mapping of keys and values that follow each other in pairs.
func mapping(pairs ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: pairs}
}

// scalarNode returns text as a YAML string, quoted where it would read back as something else.
func scalarNode(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	switch {
	case strings.Contains(text, "\n"):
		node.Style = yaml.LiteralStyle
	case node.ShortTag() != "!!str":
		node.Style = yaml.SingleQuotedStyle
	}
	node.Tag = "!!str"
	return node
}

// optionalNode is scalarNode for values that may be absent, which print as null.
func optionalNode(text string) *yaml.Node {
	if text == "" {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	return scalarNode(text)
}

func booleanNode(value bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}
}

// annotationsNode prints annotations sorted by key; null when there are none.
func annotationsNode(annotations map[string]string) *yaml.Node {
	if annotations == nil {
		return optionalNode("")
	}
	node := mapping()
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		node.Content = append(node.Content, scalarNode(key), scalarNode(annotations[key]))
	}
	return node
}

// printYAML returns node as YAML text ending in a newline.
func printYAML(node *yaml.Node) string {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		// Only reachable with text that is not UTF-8, which a parsed file cannot hold.
		return fmt.Sprintf("(cannot be printed: %v)\n", err)
	}
	return out.String()
}
