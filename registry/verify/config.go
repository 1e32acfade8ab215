package verify

import (
	"errors"
	"fmt"
	"iter"

	"policy-server/document"
	"policy-server/registry/evidence"
)

// Config says which signatures a module must carry. Both halves that are present must hold; a nil
// half is not asked for, and a Config with neither is refused rather than met by everything.
type Config struct {
	AllOf []Constraint // each must be met; nil: not asked, empty: refused
	AnyOf *AnyOf       // nil: not asked
}

// AnyOf asks for some of its constraints, whichever they are.
type AnyOf struct {
	MinimumMatches int // 1 to len(Signatures); a file that leaves it out means 1
	Signatures     []Constraint
	// DistinctSigners makes MinimumMatches count the signers whose signatures meet some constraint,
	// each once, and not the constraints that are met: two constraints may be met by one signer,
	// and one constraint by several. Signers are the same who have the same key, or the same issuer
	// and subject. Beyond Kubewarden.
	DistinctSigners bool
}

// Texts that scripts written for Kubewarden look for.
const (
	notValid     = "Not a valid configuration file: "
	notSupported = "Not a supported configuration version: "
	noSignatures = "config is missing signatures in both allOf and anyOff list" // the spelling users grep for
)

// apiVersion is the one version of the schema there is; a file without one is read as this version
// too.
const apiVersion = "v1"

// ParseConfig reads a verification config: one document, YAML or JSON. Unknown and duplicate keys
// are refused at every level, and so is a config that everything or nothing could ever meet.
// Explicit nulls mean absent.
//
// All faults are reported in one error, one a line, each with its path in the file:
//
//	Not a valid configuration file: allOf[0].owner: missing
//	anyOf.signatures[1].key: PEM block "CERTIFICATE"; want "PUBLIC KEY"
func ParseConfig(data []byte) (Config, error) {
	found := new(document.Faults)
	root, err := document.Reader{Faults: found}.Read(data)
	if _, several := errors.AsType[*document.SeveralError](err); several {
		return Config{}, err
	}
	if err != nil {
		return Config{}, fmt.Errorf("%s%w", notValid, err)
	}
	if root.Kind() == document.List {
		return Config{}, fmt.Errorf("%sa list; want a mapping with apiVersion %s", notSupported, apiVersion)
	}
	top, _ := root.Optional().Mapping()
	top.Only("apiVersion", "allOf", "anyOf")
	if v := top.Optional("apiVersion"); v.Exists() {
		if version, _ := v.Scalar(); version != apiVersion {
			return Config{}, fmt.Errorf("%s%s; supported: %s", notSupported, v.Describe(), apiVersion)
		}
	}
	cfg := Config{AllOf: readConstraints(top.Optional("allOf"), found), AnyOf: readAnyOf(top.Optional("anyOf"), found)}
	if found.Len() == 0 && cfg.AllOf == nil && cfg.AnyOf == nil {
		return Config{}, errors.New(noSignatures)
	}
	cfg.check(found)
	return cfg, notValidError(found)
}

// notValidError returns the faults as the error of a config, nil when there are none.
func notValidError(found *document.Faults) error {
	if err := found.Err(); err != nil {
		return fmt.Errorf("%s%w", notValid, err)
	}
	return nil
}

// readConstraints reads a list of constraints; nil when v is absent. An entry with faults is nil in
// the list, so that those after it keep their paths.
func readConstraints(v document.Value, found *document.Faults) []Constraint {
	items := v.List()
	if items == nil {
		return nil
	}
	constraints := make([]Constraint, len(items))
	for i, item := range items {
		constraints[i] = readConstraint(item, found)
	}
	return constraints
}

// readAnyOf reads the anyOf mapping; nil when it is absent or has no list.
func readAnyOf(v document.Value, found *document.Faults) *AnyOf {
	m, ok := v.Mapping()
	if !ok {
		return nil
	}
	m.Only("minimumMatches", "distinctSigners", "signatures")
	list := m.Required("signatures")
	if !list.Exists() {
		return nil
	}
	a := &AnyOf{
		MinimumMatches: m.Optional("minimumMatches").Whole(1), Signatures: readConstraints(list, found),
		DistinctSigners: m.Optional("distinctSigners").Truth(false),
	}
	if a.Signatures == nil {
		return nil
	}
	return a
}

// check reports what makes cfg meaningless, from either source: a file, or code that built the
// value. A list that everything or nothing meets is never what its author wanted.
func (cfg Config) check(found *document.Faults) {
	if cfg.AllOf != nil && len(cfg.AllOf) == 0 {
		found.Add("allOf", "empty; list at least one signature, or leave allOf out")
	}
	if cfg.AnyOf != nil {
		cfg.AnyOf.check(found)
	}
	for path, c := range cfg.constraints() {
		if c != nil {
			c.check(path, found)
		}
	}
}

func (a *AnyOf) check(found *document.Faults) {
	const path = "anyOf.minimumMatches"
	most, what := len(a.Signatures), "the number of signatures listed"
	if a.DistinctSigners {
		most, what = evidence.MaxSignatures, "the number of signatures looked at"
	}
	switch {
	case len(a.Signatures) == 0:
		found.Add("anyOf.signatures", "empty; list at least one signature, or leave anyOf out")
	case a.MinimumMatches < 1:
		found.Add(path, "%d: every module would be accepted; want 1 to %d", a.MinimumMatches, most)
	case a.MinimumMatches > most:
		found.Add(path, "%d: no module could ever be accepted; want 1 to %d, %s", a.MinimumMatches, most, what)
	}
}

// need is that of the most demanding constraint.
func (cfg Config) need() need {
	for _, c := range cfg.constraints() {
		if c != nil && c.need() == needRoot {
			return needRoot
		}
	}
	return needNot
}

// constraints yields every constraint with its path in the file, allOf before anyOf.
func (cfg Config) constraints() iter.Seq2[string, Constraint] {
	return func(yield func(string, Constraint) bool) {
		for i, c := range cfg.AllOf {
			if !yield(document.Element("allOf", i), c) {
				return
			}
		}
		if cfg.AnyOf == nil {
			return
		}
		for i, c := range cfg.AnyOf.Signatures {
			if !yield(document.Element("anyOf.signatures", i), c) {
				return
			}
		}
	}
}
