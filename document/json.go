package document

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// readJSON returns the root of a valid JSON document as the nodes that YAML would have for it.
func readJSON(data []byte) (*yaml.Node, error) {
	r := jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.decoder.UseNumber()
	return r.next()
}

// jsonReader makes nodes of tokens. Nodes know their place, for the sake of error messages.
type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	line    int // from 1, of the place that is reached
	start   int // offset of that line
	reached int // offset of that place
}

// next returns the next value, or the next key of an object.
func (r *jsonReader) next() (*yaml.Node, error) {
	before := int(r.decoder.InputOffset())
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	node := r.place(before)
	switch token := token.(type) {
	case json.Delim:
		node.Kind, node.Tag, node.Style = yaml.SequenceNode, "!!seq", yaml.FlowStyle
		if token == '{' {
			node.Kind, node.Tag = yaml.MappingNode, "!!map"
		}
		return node, r.fill(node)
	case string:
		node.Tag, node.Style, node.Value = "!!str", yaml.DoubleQuotedStyle, token
	case json.Number:
		node.Value = token.String()
		// An integer beyond 64 bits is a float, as for other readers of JSON. YAML's refuses it.
		if n, ok := new(big.Int).SetString(node.Value, 10); ok && !n.IsInt64() && !n.IsUint64() {
			node.Style, node.Tag = yaml.TaggedStyle, "!!float"
		}
	case bool:
		node.Tag, node.Value = "!!bool", strconv.FormatBool(token)
	default:
		node.Tag, node.Value = "!!null", "null"
	}
	return node, nil
}

// fill reads members or elements, and the bracket behind them: to YAML both are a list of nodes.
func (r *jsonReader) fill(node *yaml.Node) error {
	for r.decoder.More() {
		child, err := r.next()
		if err != nil {
			return err
		}
		node.Content = append(node.Content, child)
	}
	_, err := r.decoder.Token()
	return err
}

// place returns a scalar node at the place of the token that begins behind offset.
func (r *jsonReader) place(offset int) *yaml.Node {
	rest := r.data[offset:]
	at := offset + len(rest) - len(bytes.TrimLeft(rest, " \t\r\n,:"))
	passed := r.data[r.reached:at]
	if last := bytes.LastIndexByte(passed, '\n'); last >= 0 {
		r.line += bytes.Count(passed, []byte{'\n'})
		r.start = r.reached + last + 1
	}
	r.reached = at
	return &yaml.Node{Kind: yaml.ScalarNode, Line: r.line, Column: at - r.start + 1}
}
