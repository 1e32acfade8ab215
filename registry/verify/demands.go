package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"policy-server/registry/evidence"
)

// Demands are what is asked about one image: who signed it, and what was attested about it. Signers count in both,
// each once, whatever DistinctSigners says.
type Demands struct {
	Signatures   *AnyOf // nil: not asked
	Attestations []AttestationDemand
}

// AttestationDemand asks for attestations of one predicate type by some of the signers that constraints describe.
type AttestationDemand struct {
	PredicateType string // exact
	By            AnyOf
}

var errNothingAsked = errors.New("neither signatures nor attestations are asked for")

// ParseDemands reads the two members of a request, JSON, either of which may be nil or null:
//
//	signatures:   {"required": 1, "anyOf": [constraint, …]}
//	attestations: [{"predicateType": "https://slsa.dev/provenance/v1", "required": 1, "anyOf": [constraint, …]}, …]
//
// Constraints are as in a Config, and read as strictly. All faults are reported in one error, one a line, each with its
// path, such as "attestations[0].anyOf[1].key: missing".
func ParseDemands(signatures, attestations json.RawMessage) (Demands, error) {
	var found faults
	top := object{fields: map[string]*yaml.Node{}, found: &found}
	for key, text := range map[string]json.RawMessage{"signatures": signatures, "attestations": attestations} {
		if text == nil {
			continue
		}
		node, err := jsonNode(text)
		if err != nil {
			return Demands{}, fmt.Errorf("%s: %w", key, err)
		}
		if !isNull(node) {
			top.fields[key] = node
		}
	}
	d := Demands{}
	if node, ok := top.fields["signatures"]; ok {
		if o, ok := readObject("signatures", node, &found, "required", "anyOf"); ok {
			by := readDemand(o)
			d.Signatures = &by
		}
	}
	if nodes, ok := top.list("attestations"); ok {
		for i, node := range nodes {
			d.Attestations = append(d.Attestations, readAttestationDemand(element("attestations", i), node, &found))
		}
	}
	if len(found) == 0 && d.Signatures == nil && len(d.Attestations) == 0 {
		found.add("", "%v", errNothingAsked)
	}
	d.check(&found)
	if len(found) > 0 {
		return Demands{}, errors.New(strings.Join(found, "\n"))
	}
	return d, nil
}

func readAttestationDemand(path string, node *yaml.Node, found *faults) AttestationDemand {
	o, ok := readObject(path, node, found, "predicateType", "required", "anyOf")
	if !ok {
		return AttestationDemand{}
	}
	return AttestationDemand{PredicateType: o.text("predicateType"), By: readDemand(o)}
}

// readDemand reads which signers, and how many of them.
func readDemand(o object) AnyOf {
	if _, ok := o.fields["anyOf"]; !ok {
		o.found.add(o.at("anyOf"), "missing")
		return AnyOf{}
	}
	return AnyOf{
		MinimumMatches: o.integer("required", 1), Signatures: readConstraints(o, "anyOf"), DistinctSigners: true,
	}
}

// maxAlternatives and maxAttestationDemands bound the work that one request can ask for: each constraint is held against
// each signature.
const (
	maxAlternatives       = 64
	maxAttestationDemands = 16
)

// check reports what nothing or everything would meet. What could not be read was reported before.
func (d Demands) check(found *faults) {
	if n := len(d.Attestations); n > maxAttestationDemands {
		found.add("attestations", "%d elements; want at most %d", n, maxAttestationDemands)
	}
	if d.Signatures != nil {
		d.Signatures.checkDemand("signatures", found)
	}
	for i, a := range d.Attestations {
		path := element("attestations", i)
		if a.PredicateType == evidence.SignPredicateType {
			found.add(path+".predicateType", "%q is what image signatures are; ask for them under signatures", evidence.SignPredicateType)
		}
		a.By.checkDemand(path, found)
	}
}

func (a AnyOf) checkDemand(path string, found *faults) {
	if a.Signatures == nil {
		return
	}
	switch n := len(a.Signatures); {
	case n == 0:
		found.add(path+".anyOf", "empty; list at least one constraint")
	case n > maxAlternatives:
		found.add(path+".anyOf", "%d elements; want at most %d", n, maxAlternatives)
	}
	if a.MinimumMatches < 1 || a.MinimumMatches > evidence.MaxSignatures {
		found.add(path+".required", "%d; want 1 to %d, the number of signatures looked at", a.MinimumMatches, evidence.MaxSignatures)
	}
	for i, c := range a.Signatures {
		if c != nil {
			c.check(element(path+".anyOf", i), found)
		}
	}
}

func (d Demands) need() need {
	var all []Constraint
	if d.Signatures != nil {
		all = slices.Clone(d.Signatures.Signatures)
	}
	for _, a := range d.Attestations {
		all = append(all, a.By.Signatures...)
	}
	return Config{AllOf: all}.need()
}

// jsonNode reads JSON as the YAML it nearly is: not every JSON text is, for tabs, escapes and numbers.
func jsonNode(text json.RawMessage) (*yaml.Node, error) {
	if !json.Valid(text) { // which bounds the depth as well
		return nil, errors.New("not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return nextNode(decoder)
}

func nextNode(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch value := token.(type) {
	case json.Delim:
		node := mapping()
		if value == '[' {
			node = &yaml.Node{Kind: yaml.SequenceNode}
		}
		for decoder.More() { // of an object, names and values in turn
			child, err := nextNode(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err := decoder.Token()
		return node, err
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}, nil
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(value.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}, nil
	}
	return optionalNode(""), nil
}
