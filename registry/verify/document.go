package verify

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object is a mapping of the file whose keys are known to be legal and unique. Keys with null are absent.
type object struct {
	path   string
	fields map[string]*yaml.Node
	found  *faults
}

// readObject reads node as a mapping that may hold the known keys and no others. It adds what it finds wrong to found,
// and returns false only when node is no mapping, so that the caller can go on and report the rest.
func readObject(path string, node *yaml.Node, found *faults, known ...string) (object, bool) {
	o := object{path: path, fields: map[string]*yaml.Node{}, found: found}
	if !o.isMapping(node) {
		return object{}, false
	}
	o.each(node, func(key string, value *yaml.Node) {
		if !slices.Contains(known, key) {
			found.add(o.at(key), "unknown field; known: %s", strings.Join(known, ", "))
			return
		}
		if !isNull(value) {
			o.fields[key] = value
		}
	})
	return o, true
}

func (o object) isMapping(node *yaml.Node) bool {
	if node.Kind == yaml.MappingNode && node.ShortTag() == "!!map" {
		return true
	}
	o.found.add(o.path, "want a mapping, got %s", describe(node))
	return false
}

// each calls do for every key of mapping node once, reporting duplicates and keys that are not text.
func (o object) each(node *yaml.Node, do func(key string, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := resolve(node.Content[i]), resolve(node.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode:
			o.found.add(o.path, "want text as keys, got %s", describe(key))
		case seen[key.Value]:
			o.found.add(o.at(key.Value), "duplicate key")
		default:
			seen[key.Value] = true
			do(key.Value, value)
		}
	}
}

// at returns the path of a member of o.
func (o object) at(key string) string {
	if !plainKey.MatchString(key) {
		return fmt.Sprintf("%s[%q]", o.path, key)
	}
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// element returns the path of item i of the list at path.
func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// text returns the string under key, which must be there.
func (o object) text(key string) string {
	if _, ok := o.fields[key]; !ok {
		o.found.add(o.at(key), "missing")
		return ""
	}
	return o.optionalText(key)
}

// optionalText returns the string under key; empty when it is absent.
func (o object) optionalText(key string) string {
	node, ok := o.fields[key]
	if !ok {
		return ""
	}
	return o.scalar(key, node)
}

// scalar returns the text of node. A date without quotes is text too, as in YAML 1.2; numbers and booleans are not,
// since what the signer wrote may be spelled otherwise (1.0 and 1, yes and true).
func (o object) scalar(key string, node *yaml.Node) string {
	switch tag := node.ShortTag(); {
	case node.Kind != yaml.ScalarNode:
		o.found.add(o.at(key), "want a string, got %s", describe(node))
	case tag == "!!str", tag == "!!timestamp":
		return node.Value
	case tag == "!!bool", tag == "!!int", tag == "!!float":
		o.found.add(o.at(key), "want a string, got %s; write %q in quotes", describe(node), node.Value)
	default:
		o.found.add(o.at(key), "want a string, got %s", describe(node))
	}
	return ""
}

// textMap returns the map of strings under key; nil when it is absent.
func (o object) textMap(key string) map[string]string {
	node, ok := o.fields[key]
	if !ok {
		return nil
	}
	inner := object{path: o.at(key), found: o.found}
	if !inner.isMapping(node) {
		return nil
	}
	texts := map[string]string{}
	inner.each(node, func(key string, value *yaml.Node) {
		texts[key] = inner.scalar(key, value)
	})
	return texts
}

// list returns the items under key; false when it is absent or no list.
func (o object) list(key string) ([]*yaml.Node, bool) {
	node, ok := o.fields[key]
	if !ok {
		return nil, false
	}
	if node.Kind != yaml.SequenceNode || node.ShortTag() != "!!seq" {
		o.found.add(o.at(key), "want a list, got %s", describe(node))
		return nil, false
	}
	items := make([]*yaml.Node, len(node.Content))
	for i, item := range node.Content {
		items[i] = resolve(item)
	}
	return items, true
}

// integer returns the whole number under key; fallback when it is absent or something else, which is then reported.
func (o object) integer(key string, fallback int) int {
	node, ok := o.fields[key]
	if !ok {
		return fallback
	}
	var number int
	if node.ShortTag() != "!!int" || node.Decode(&number) != nil {
		o.found.add(o.at(key), "want a whole number, got %s", describe(node))
		return fallback
	}
	return number
}

// boolean returns the true or false under key; fallback when it is absent or something else, which is then reported.
func (o object) boolean(key string, fallback bool) bool {
	node, ok := o.fields[key]
	if !ok {
		return fallback
	}
	var value bool
	if node.ShortTag() != "!!bool" || node.Decode(&value) != nil {
		o.found.add(o.at(key), "want true or false, got %s", describe(node))
		return fallback
	}
	return value
}

// resolve follows an alias to what it stands for. Nesting is bounded by the schema, not by the file, so that an alias
// to one of its own parents ends as a value of the wrong kind.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" }

// describe names what node is, for messages about what it should have been.
func describe(node *yaml.Node) string {
	switch tag := node.ShortTag(); {
	case node.Kind == yaml.MappingNode && tag == "!!map":
		return "a mapping"
	case node.Kind == yaml.SequenceNode && tag == "!!seq":
		return "a list"
	case node.Kind != yaml.ScalarNode:
		return fmt.Sprintf("a value tagged %q", tag)
	case tag == "!!null":
		return "null"
	case tag == "!!bool":
		return "the boolean " + node.Value
	case tag == "!!int", tag == "!!float":
		return "the number " + node.Value
	case tag == "!!str", tag == "!!timestamp":
		return fmt.Sprintf("the string %q", node.Value)
	default:
		return fmt.Sprintf("a value tagged %q", tag)
	}
}
