package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"

	"policy-server/registry/evidence"
)

// Config says which signatures a module must carry. Both halves that are present must hold; a nil half is not asked
// for, and a Config with neither is refused rather than met by everything.
type Config struct {
	AllOf []Constraint // each must be met; nil: not asked, empty: refused
	AnyOf *AnyOf       // nil: not asked
}

// AnyOf asks for some of its constraints, whichever they are.
type AnyOf struct {
	MinimumMatches int // 1 to len(Signatures); a file that leaves it out means 1
	Signatures     []Constraint
	// DistinctSigners makes MinimumMatches count the signers whose signatures meet some constraint, each once, and not
	// the constraints that are met: two constraints may be met by one signer, and one constraint by several. Signers are
	// the same who have the same key, or the same issuer and subject. Beyond Kubewarden.
	DistinctSigners bool
}

// Texts that scripts written for Kubewarden look for.
const (
	notValid     = "Not a valid configuration file: "
	notSupported = "Not a supported configuration version: "
	noSignatures = "config is missing signatures in both allOf and anyOff list" // the spelling users grep for
	manyDocs     = "deserializing from YAML containing more than one document is not supported"
)

// apiVersion is the one version of the schema there is; a file without one is read as this version too.
const apiVersion = "v1"

// ParseConfig reads a verification config: one YAML document, or JSON as YAML 1.2 reads it. Unknown and duplicate keys
// are refused at every level, and so is a config that everything or nothing could ever meet. Explicit nulls mean
// absent.
//
// All faults are reported in one error, one a line, each with its path in the file:
//
//	Not a valid configuration file: allOf[0].owner: missing
//	anyOf.signatures[1].key: PEM block "CERTIFICATE"; want "PUBLIC KEY"
func ParseConfig(data []byte) (Config, error) {
	root, err := parseDocument(data)
	if err != nil {
		return Config{}, err
	}
	if root.Kind == yaml.SequenceNode {
		return Config{}, fmt.Errorf("%sa list; want a mapping with apiVersion %s", notSupported, apiVersion)
	}
	var found faults
	top, ok := readObject("", root, &found, "apiVersion", "allOf", "anyOf")
	if !ok {
		return Config{}, found.err()
	}
	if v, ok := top.fields["apiVersion"]; ok && v.Value != apiVersion {
		return Config{}, fmt.Errorf("%s%s; supported: %s", notSupported, describe(v), apiVersion)
	}
	cfg := Config{AllOf: readConstraints(top, "allOf"), AnyOf: readAnyOf(top)}
	if len(found) == 0 && cfg.AllOf == nil && cfg.AnyOf == nil {
		return Config{}, errors.New(noSignatures)
	}
	cfg.check(&found)
	return cfg, found.err()
}

// parseDocument returns the root node of the one document in data; an empty file is an empty mapping.
func parseDocument(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, another yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, nil
	case err != nil:
		return nil, fmt.Errorf("%s%w", notValid, err)
	}
	switch err := decoder.Decode(&another); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, fmt.Errorf("%s%w", notValid, err)
	default:
		return nil, errors.New(manyDocs)
	}
	root := resolve(document.Content[0])
	if isNull(root) {
		root = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	return root, nil
}

// readConstraints reads the list under key; nil when it is absent. An entry with faults is nil in the list, so that
// those after it keep their paths.
func readConstraints(parent object, key string) []Constraint {
	nodes, ok := parent.list(key)
	if !ok {
		return nil
	}
	constraints := make([]Constraint, len(nodes))
	for i, n := range nodes {
		constraints[i] = readConstraint(element(parent.at(key), i), n, parent.found)
	}
	return constraints
}

// readAnyOf reads the anyOf mapping; nil when it is absent or has no list.
func readAnyOf(top object) *AnyOf {
	node, ok := top.fields["anyOf"]
	if !ok {
		return nil
	}
	o, ok := readObject(top.at("anyOf"), node, top.found, "minimumMatches", "distinctSigners", "signatures")
	if !ok {
		return nil
	}
	if _, ok := o.fields["signatures"]; !ok {
		o.found.add(o.at("signatures"), "missing")
		return nil
	}
	minimum, distinct := o.integer("minimumMatches", 1), o.boolean("distinctSigners", false)
	signatures := readConstraints(o, "signatures")
	if signatures == nil {
		return nil
	}
	return &AnyOf{MinimumMatches: minimum, Signatures: signatures, DistinctSigners: distinct}
}

// check reports what makes cfg meaningless whoever wrote it: a file, or code that built the value. A list that
// everything or nothing meets is never what its author wanted.
func (cfg Config) check(found *faults) {
	if cfg.AllOf != nil && len(cfg.AllOf) == 0 {
		found.add("allOf", "empty; list at least one signature, or leave allOf out")
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

func (a *AnyOf) check(found *faults) {
	const path = "anyOf.minimumMatches"
	most, what := len(a.Signatures), "the number of signatures listed"
	if a.DistinctSigners {
		most, what = evidence.MaxSignatures, "the number of signatures looked at"
	}
	switch {
	case len(a.Signatures) == 0:
		found.add("anyOf.signatures", "empty; list at least one signature, or leave anyOf out")
	case a.MinimumMatches < 1:
		found.add(path, "%d: every module would be accepted; want 1 to %d", a.MinimumMatches, most)
	case a.MinimumMatches > most:
		found.add(path, "%d: no module could ever be accepted; want 1 to %d, %s", a.MinimumMatches, most, what)
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
			if !yield(element("allOf", i), c) {
				return
			}
		}
		if cfg.AnyOf == nil {
			return
		}
		for i, c := range cfg.AnyOf.Signatures {
			if !yield(element("anyOf.signatures", i), c) {
				return
			}
		}
	}
}

// faults collects everything wrong with a config, each with its path.
type faults []string

func (f *faults) add(path, format string, args ...any) {
	if path != "" {
		path += ": "
	}
	*f = append(*f, path+fmt.Sprintf(format, args...))
}

// err returns the faults as one error, nil when there are none.
func (f *faults) err() error {
	if len(*f) == 0 {
		return nil
	}
	return errors.New(notValid + strings.Join(*f, "\n"))
}
