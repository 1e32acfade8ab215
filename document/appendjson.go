package document

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"policy-server/jsontext"
)

// maxExpanded bounds what aliases may blow a document up to, in bytes of JSON.
const maxExpanded = 4 << 20

// AppendJSON appends v as compact JSON; an absent value is null. Keys keep their order, and of a
// key that comes twice the last value counts. A value that JSON cannot say, one that contains
// itself, and one that grows too large are errors, which name the line.
func (v Value) AppendJSON(dst []byte) ([]byte, error) {
	return v.appendJSON(dst, len(dst)+maxExpanded, nil)
}

// appendJSON appends v unless dst gets longer than limit. The lists and mappings in open are being
// written.
func (v Value) appendJSON(dst []byte, limit int, open []*yaml.Node) ([]byte, error) {
	if len(dst) > limit {
		return nil, errors.New("document is too large once its aliases are expanded")
	}
	if slices.Contains(open, v.node) {
		return nil, fmt.Errorf("line %d: alias %q contains itself", v.node.Line, v.node.Anchor)
	}
	switch v.Kind() {
	case Absent:
		return append(dst, "null"...), nil
	case Text:
		return jsontext.AppendString(dst, v.node.Value), nil
	case List:
		return v.appendArray(dst, limit, append(open, v.node))
	case Map:
		return v.appendObject(dst, limit, append(open, v.node))
	case Tagged:
		return nil, fmt.Errorf("line %d: tag %q is not supported", v.node.Line, v.node.ShortTag())
	}
	_, literal := resolve(v.node)
	if literal == "" {
		return nil, fmt.Errorf("line %d: integer %q does not fit 64 bits; quote it to pass it as a string", v.node.Line, v.node.Value)
	}
	return append(dst, literal...), nil
}

func (v Value) appendArray(dst []byte, limit int, open []*yaml.Node) (_ []byte, err error) {
	dst = append(dst, '[')
	for i, item := range v.node.Content {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = (Value{node: follow(item)}).appendJSON(dst, limit, open); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func (v Value) appendObject(dst []byte, limit int, open []*yaml.Node) (_ []byte, err error) {
	var keys []string
	last := map[string]*yaml.Node{}
	for i := 0; i < len(v.node.Content); i += 2 {
		// A plain "<<" is a key like any other: the reference merges nothing.
		key := follow(v.node.Content[i])
		if (Value{node: key}).Kind() != Text {
			return nil, fmt.Errorf("line %d: key %q is not a string; quote it", key.Line, key.Value)
		}
		if _, twice := last[key.Value]; !twice {
			keys = append(keys, key.Value)
		}
		last[key.Value] = v.node.Content[i+1]
	}
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendString(dst, key), ':')
		if dst, err = (Value{node: follow(last[key])}).appendJSON(dst, limit, open); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}
