package document

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The values that code makes, to be written. They have no path and are not read.

// NewNull returns a null.
func NewNull() Value { return newScalar("!!null", "null") }

// NewTruth returns a truth.
func NewTruth(value bool) Value { return newScalar("!!bool", strconv.FormatBool(value)) }

// NewNumber returns a whole number.
func NewNumber(value int64) Value { return newScalar("!!int", strconv.FormatInt(value, 10)) }

// NewText returns a string. It is written in quotes where it would be read as something else. One
// that is not UTF-8 makes YAML fail.
func NewText(text string) Value {
	v := newScalar("!!str", text)
	if strings.Contains(text, "\n") {
		v.node.Style = yaml.LiteralStyle
	}
	return v
}

// NewQuotedText is NewText with single quotes in place of double ones.
func NewQuotedText(text string) Value {
	v := NewText(text)
	if (&yaml.Node{Kind: yaml.ScalarNode, Value: text}).ShortTag() != "!!str" {
		v.node.Style = yaml.SingleQuotedStyle
	}
	return v
}

// NewList returns a list.
func NewList(items ...Value) Value { return newContainer(yaml.SequenceNode, items) }

// NewMapping returns the mapping of keys and values that follow each other in pairs.
func NewMapping(pairs ...Value) Value { return newContainer(yaml.MappingNode, pairs) }

func newScalar(tag, text string) Value {
	return Value{node: &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text}}
}

func newContainer(kind yaml.Kind, content []Value) Value {
	node := &yaml.Node{Kind: kind}
	for _, v := range content {
		node.Content = append(node.Content, v.node)
	}
	return Value{node: node}
}

// Tagged returns v, which must be new, with a tag.
func (v Value) Tagged(tag string) Value {
	v.node.Tag = tag
	return v
}

// OnOneLine returns v, which must be new, as it is written between brackets.
func (v Value) OnOneLine() Value {
	v.node.Style = yaml.FlowStyle
	return v
}

// YAML writes v, with a line break behind it.
func (v Value) YAML() (string, error) { return write(v.node, false) }

// BlockYAML writes a JSON document as YAML without JSON's brackets and quotes, its members in their
// order.
func BlockYAML(document []byte) (string, error) {
	root, err := readJSON(document)
	if err != nil {
		return "", err
	}
	dropStyle(root)
	return write(root, true)
}

// dropStyle drops brackets and quotes. The encoder puts quotes where they are needed.
func dropStyle(node *yaml.Node) {
	node.Style = 0
	if node.Kind == yaml.ScalarNode && node.Value == "" {
		node.Style = yaml.SingleQuotedStyle
	}
	for _, child := range node.Content {
		dropStyle(child)
	}
}

// write writes node with two spaces for each level. The items of a list in a mapping are indented
// too, unless compact.
func write(node *yaml.Node, compact bool) (string, error) {
	var text strings.Builder
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if compact {
		encoder.CompactSeqIndent()
	}
	if err := encoder.Encode(node); err != nil {
		return "", err
	}
	err := encoder.Close()
	return text.String(), err
}
