package policy

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"policy-server/jsontext"
)

// maxExpanded bounds what aliases may blow a document up to, in bytes of JSON.
const maxExpanded = 4 << 20

// appendJSON appends node as compact JSON. Scalars mean what upstream's YAML reader makes of them: YAML 1.2 with leading
// zeros, underscores, dates and sexagesimals left as strings (spec: settings, YAML to JSON). Keys are sorted by nobody:
// they keep their order, and of a key that comes twice the last value wins.
func appendJSON(dst []byte, node *yaml.Node) ([]byte, error) {
	w := jsonWriter{dst: dst, limit: len(dst) + maxExpanded}
	err := w.value(node, nil)
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
	switch node.Kind {
	case yaml.AliasNode:
		for _, n := range open {
			if n == node.Alias {
				return fmt.Errorf("line %d: alias %q contains itself", node.Line, node.Value)
			}
		}
		return w.value(node.Alias, append(open, node.Alias))
	case yaml.MappingNode:
		return w.mapping(node, open)
	case yaml.SequenceNode:
		return w.sequence(node, open)
	case yaml.ScalarNode:
		return w.scalar(node)
	}
	return fmt.Errorf("line %d: cannot be read", node.Line)
}

func (w *jsonWriter) sequence(node *yaml.Node, open []*yaml.Node) error {
	if err := localTag(node, "!!seq"); err != nil {
		return err
	}
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
	if err := localTag(node, "!!map"); err != nil {
		return err
	}
	last := map[string]int{} // key → where its last value stands
	for i := 0; i < len(node.Content); i += 2 {
		key, err := mappingKey(node.Content[i])
		if err != nil {
			return err
		}
		last[key] = i
	}
	w.dst = append(w.dst, '{')
	comma := false
	for i := 0; i < len(node.Content); i += 2 {
		key, _ := mappingKey(node.Content[i]) // checked above
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

// mappingKey returns the text of a key, which must be a string; a plain "<<" is an ordinary key.
func mappingKey(node *yaml.Node) (string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode {
		if kind, _ := resolve(node); kind == stringScalar {
			return node.Value, nil
		}
	}
	return "", fmt.Errorf("line %d: key %q is not a string; quote it", node.Line, node.Value)
}

func (w *jsonWriter) scalar(node *yaml.Node) error {
	if err := localTag(node, "!!"); err != nil {
		return err
	}
	kind, text := resolve(node)
	switch kind {
	case stringScalar:
		w.dst = jsontext.AppendString(w.dst, node.Value)
	case outOfRange:
		return fmt.Errorf("line %d: integer %q does not fit 64 bits; quote it to pass it as a string", node.Line, node.Value)
	default:
		w.dst = append(w.dst, text...)
	}
	return nil
}

// localTag refuses tags that are not YAML's own.
func localTag(node *yaml.Node, prefix string) error {
	if tag := node.ShortTag(); !strings.HasPrefix(tag, prefix) && tag != "" {
		return fmt.Errorf("line %d: tag %q is not supported", node.Line, tag)
	}
	return nil
}

type scalarKind int

const (
	stringScalar  scalarKind = iota
	literalScalar            // null, a boolean or a number, as JSON
	outOfRange
)

var (
	integerForm = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)$`)
	floatForm   = regexp.MustCompile(`^[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?$`)
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9]`)
)

// resolve says what a scalar is, and how JSON writes it unless it is a string.
func resolve(node *yaml.Node) (scalarKind, string) {
	quoted := node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if node.Style&yaml.TaggedStyle != 0 {
		switch node.ShortTag() {
		case "!!int", "!!float", "!!bool", "!!null":
			quoted = false
		default:
			return stringScalar, ""
		}
	}
	if quoted {
		return stringScalar, ""
	}
	switch node.Value {
	case "", "~", "null", "Null", "NULL":
		return literalScalar, "null"
	case "true", "True", "TRUE":
		return literalScalar, "true"
	case "false", "False", "FALSE":
		return literalScalar, "false"
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		return literalScalar, "null" // JSON has no such number
	}
	return resolveNumber(node.Value, node.Style&yaml.TaggedStyle != 0 && node.ShortTag() == "!!float")
}

func resolveNumber(text string, asFloat bool) (scalarKind, string) {
	if integerForm.MatchString(text) && !asFloat {
		n, ok := new(big.Int).SetString(strings.TrimPrefix(text, "+"), 0)
		if !ok {
			return stringScalar, ""
		}
		if !n.IsInt64() && !n.IsUint64() {
			return outOfRange, ""
		}
		return literalScalar, n.String()
	}
	if !floatForm.MatchString(text) || leadingZero.MatchString(text) && !strings.ContainsAny(text, ".eE") {
		return stringScalar, ""
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return stringScalar, "" // too large for a float: upstream keeps the text
	}
	return literalScalar, formatFloat(f)
}

// formatFloat writes f in its shortest form that reads back as f and still looks like a float: 1.0, 1e+16, 1e-6.
func formatFloat(f float64) string {
	if abs := math.Abs(f); abs != 0 && (abs >= 1e16 || abs < 1e-5) {
		text := strconv.FormatFloat(f, 'e', -1, 64)
		mantissa, exponent, _ := strings.Cut(text, "e")
		return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
