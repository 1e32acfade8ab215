package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// Demands are what is asked about one image: who signed it, and what was attested about it. Signers
// count in both, each once, whatever DistinctSigners says.
type Demands struct {
	Signatures   *AnyOf // nil: not asked
	Attestations []AttestationDemand
}

// AttestationDemand asks for attestations of one predicate type by some of the signers that
// constraints describe.
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
// Constraints are as in a Config, and read as strictly. All faults are reported in one error, one a
// line, each with its path, such as "attestations[0].anyOf[1].key: missing".
func ParseDemands(signatures, attestations json.RawMessage) (Demands, error) {
	found := new(document.Faults)
	read := func(path string, text json.RawMessage) (document.Value, error) {
		if text == nil {
			return document.Value{}, nil
		}
		v, err := document.Reader{Faults: found, Path: path}.ReadJSON(text)
		if err != nil {
			return document.Value{}, fmt.Errorf("%s: not JSON", path)
		}
		return v.Optional(), nil
	}
	signers, err := read("signatures", signatures)
	if err != nil {
		return Demands{}, err
	}
	list, err := read("attestations", attestations)
	if err != nil {
		return Demands{}, err
	}
	d := Demands{}
	if m, ok := signers.Mapping(); ok {
		m.Only("required", "anyOf")
		by := readDemand(m, found)
		d.Signatures = &by
	}
	for _, item := range list.List() {
		d.Attestations = append(d.Attestations, readAttestationDemand(item, found))
	}
	if found.Len() == 0 && d.Signatures == nil && len(d.Attestations) == 0 {
		return Demands{}, errNothingAsked
	}
	d.check(found)
	if err := found.Err(); err != nil {
		return Demands{}, err
	}
	return d, nil
}

func readAttestationDemand(v document.Value, found *document.Faults) AttestationDemand {
	m, ok := v.Mapping()
	if !ok {
		return AttestationDemand{}
	}
	m.Only("predicateType", "required", "anyOf")
	return AttestationDemand{PredicateType: m.Required("predicateType").Text(), By: readDemand(m, found)}
}

// readDemand reads which signers, and how many of them.
func readDemand(m document.Mapping, found *document.Faults) AnyOf {
	list := m.Required("anyOf")
	if !list.Exists() {
		return AnyOf{}
	}
	return AnyOf{
		MinimumMatches: m.Optional("required").Whole(1), Signatures: readConstraints(list, found), DistinctSigners: true,
	}
}

// maxAlternatives and maxAttestationDemands bound the work that one request can ask for: each
// constraint is held against each signature.
const (
	maxAlternatives       = 64
	maxAttestationDemands = 16
)

// check reports what nothing or everything would meet. What could not be read was reported before.
func (d Demands) check(found *document.Faults) {
	if n := len(d.Attestations); n > maxAttestationDemands {
		found.Add("attestations", "%d elements; want at most %d", n, maxAttestationDemands)
	}
	if d.Signatures != nil {
		d.Signatures.checkDemand("signatures", found)
	}
	for i, a := range d.Attestations {
		path := document.Element("attestations", i)
		if a.PredicateType == evidence.SignPredicateType {
			found.Add(path+".predicateType", "%q is what image signatures are; ask for them under signatures", evidence.SignPredicateType)
		}
		a.By.checkDemand(path, found)
	}
}

func (a AnyOf) checkDemand(path string, found *document.Faults) {
	if a.Signatures == nil {
		return
	}
	switch n := len(a.Signatures); {
	case n == 0:
		found.Add(path+".anyOf", "empty; list at least one constraint")
	case n > maxAlternatives:
		found.Add(path+".anyOf", "%d elements; want at most %d", n, maxAlternatives)
	}
	if a.MinimumMatches < 1 || a.MinimumMatches > evidence.MaxSignatures {
		found.Add(path+".required", "%d; want 1 to %d, the number of signatures looked at", a.MinimumMatches, evidence.MaxSignatures)
	}
	for i, c := range a.Signatures {
		if c != nil {
			c.check(document.Element(path+".anyOf", i), found)
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
