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

// AppendJSON appends v as compact JSON. Keys keep their order, and of a key that comes twice the
// last value counts. A value that JSON cannot say, one that contains itself, and one that grows too
// large are errors, which name the line.
func (v Value) AppendJSON(dst []byte) ([]byte, error) {
	if !v.Exists() {
		return append(dst, "null"...), nil
	}
	w := jsonWriter{dst: dst, limit: len(dst) + maxExpanded}
	err := w.value(v.node, nil)
	return w.dst, err
}

type jsonWriter struct {
	dst   []byte
	limit int
}

// value appends node; open holds the aliased nodes being written, to find one that contains itself.
func (w *jsonWriter) value(node *yaml.Node, open []*yaml.Node) error {
	if len(w.dst) > w.limit {
		return errors.New("document is too large once its aliases are expanded")
	}
	if node.Kind == yaml.AliasNode {
		if slices.Contains(open, node.Alias) {
			return fmt.Errorf("line %d: alias %q contains itself", node.Line, node.Value)
		}
		return w.value(node.Alias, append(open, node.Alias))
	}
	switch (Value{node: node}).Kind() {
	case Map:
		return w.mapping(node, open)
	case List:
		return w.list(node, open)
	case Text:
		w.dst = jsontext.AppendString(w.dst, node.Value)
		return nil
	case Tagged:
		return fmt.Errorf("line %d: tag %q is not supported", node.Line, node.ShortTag())
	}
	_, literal := resolve(node)
	if literal == "" {
		return fmt.Errorf("line %d: integer %q does not fit 64 bits; quote it to pass it as a string", node.Line, node.Value)
	}
	w.dst = append(w.dst, literal...)
	return nil
}

func (w *jsonWriter) list(node *yaml.Node, open []*yaml.Node) error {
	w.dst = append(w.dst, '[')
	for i, element := range node.Content {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		if err := w.value(element, open); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, ']')
	return nil
}

func (w *jsonWriter) mapping(node *yaml.Node, open []*yaml.Node) error {
	last := map[string]int{} // key → where its last value stands
	for i := 0; i < len(node.Content); i += 2 {
		// A plain "<<" is a key like any other: the reference merges nothing.
		key := follow(node.Content[i])
		if (Value{node: key}).Kind() != Text {
			return fmt.Errorf("line %d: key %q is not a string; quote it", key.Line, key.Value)
		}
		last[key.Value] = i
	}
	w.dst = append(w.dst, '{')
	comma := false
	for i := 0; i < len(node.Content); i += 2 {
		key := follow(node.Content[i]).Value
		if last[key] != i {
			continue
		}
		if comma {
			w.dst = append(w.dst, ',')
		}
		comma = true
		w.dst = append(jsontext.AppendString(w.dst, key), ':')
		if err := w.value(node.Content[i+1], open); err != nil {
			return err
		}
	}
	w.dst = append(w.dst, '}')
	return nil
}
