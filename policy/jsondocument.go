package policy

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"

	"go.yaml.in/yaml/v3"
)

// jsonDocument returns the root of a JSON document as the YAML reader would have returned it, had YAML 1.1 all of JSON's
// escapes: it knows neither \/ nor surrogate pairs, and other tools write both. The document must be valid.
func jsonDocument(data []byte) (*yaml.Node, error) {
	r := jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.decoder.UseNumber()
	return r.node()
}

// jsonReader makes nodes of tokens. Nodes know their lines, for the sake of error messages.
type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	counted int // bytes of data whose line breaks are counted in line
	line    int
}

func (r *jsonReader) node() (*yaml.Node, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	at := int(r.decoder.InputOffset())
	r.line += bytes.Count(r.data[r.counted:at], []byte{'\n'})
	r.counted = at
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return r.container(yaml.MappingNode, "!!map")
		}
		return r.container(yaml.SequenceNode, "!!seq")
	case json.Number:
		return r.number(token.String()), nil
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: token, Line: r.line}, nil
	case bool:
		if token {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true", Line: r.line}, nil
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false", Line: r.line}, nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null", Line: r.line}, nil
}

// container reads members or elements and the bracket behind them: to YAML both are a list of nodes.
func (r *jsonReader) container(kind yaml.Kind, tag string) (*yaml.Node, error) {
	node := &yaml.Node{Kind: kind, Tag: tag, Style: yaml.FlowStyle, Line: r.line}
	for r.decoder.More() {
		child, err := r.node()
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, child)
	}
	_, err := r.decoder.Token()
	return node, err
}

// number makes a float of an integer beyond 64 bits, as JSON readers do; YAML's refuses it.
func (r *jsonReader) number(text string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: text, Line: r.line}
	if strings.ContainsAny(text, ".eE") {
		return node
	}
	if n, ok := new(big.Int).SetString(text, 10); ok && !n.IsInt64() && !n.IsUint64() {
		node.Style, node.Tag = yaml.TaggedStyle, "!!float"
	}
	return node
}
