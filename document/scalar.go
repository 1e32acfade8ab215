package document

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	integerForm = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)$`)
	floatForm   = regexp.MustCompile(`^[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?$`)
	leadingZero = regexp.MustCompile(`^[-+]?0[0-9]`)
)

// resolve says what a scalar is, and how JSON writes it unless it is a string: "" for an integer
// beyond 64 bits, which JSON readers would change. Scalars mean what the reference's YAML reader
// makes of them: YAML 1.2 with leading zeros, underscores, dates and sexagesimals left as strings
// (spec: settings, YAML to JSON).
func resolve(node *yaml.Node) (Kind, string) {
	quoted := node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	tag := ""
	if node.Style&yaml.TaggedStyle != 0 {
		tag = node.ShortTag()
	}
	switch {
	case tag == "!!int", tag == "!!float", tag == "!!bool", tag == "!!null", tag == "" && !quoted:
	case tag == "!!map", tag == "!!seq", tag != "" && !strings.HasPrefix(tag, "!!"):
		return Tagged, ""
	default:
		return Text, ""
	}
	switch node.Value {
	case "", "~", "null", "Null", "NULL":
		return Null, "null"
	case "true", "True", "TRUE":
		return Truth, "true"
	case "false", "False", "FALSE":
		return Truth, "false"
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		return Null, "null" // JSON has no such number
	}
	return resolveNumber(node.Value, tag == "!!float")
}

func resolveNumber(text string, asFloat bool) (Kind, string) {
	if integerForm.MatchString(text) && !asFloat {
		n, ok := new(big.Int).SetString(strings.TrimPrefix(text, "+"), 0)
		switch {
		case !ok:
			return Text, ""
		case !n.IsInt64() && !n.IsUint64():
			return Number, ""
		}
		return Number, n.String()
	}
	if !floatForm.MatchString(text) || leadingZero.MatchString(text) && !strings.ContainsAny(text, ".eE") {
		return Text, ""
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return Text, "" // too large for a float: the reference keeps the text
	}
	return Number, formatFloat(f)
}

// formatFloat writes f in its shortest form that reads back as f and still looks like a float: 1.0,
// 1e+16, 1e-6.
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
