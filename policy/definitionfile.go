package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"policy-server/document"
	"policy-server/hostcalls"
)

// ParseDefinitions reads policies.yml: a mapping from policy name to entry, in YAML or JSON. An
// empty document defines no policies. The definitions are sorted by ID; warnings names what was
// ignored.
//
// The error holds every fault of the file, each with its path: what cannot be read, and what Check
// says of the rest. Policy groups are refused: they are not supported yet.
func ParseDefinitions(data []byte) (definitions []Definition, warnings []string, err error) {
	found := &document.Faults{Words: definitionWords}
	root, err := document.Reader{Faults: found}.Read(data)
	if err != nil || !root.Exists() {
		return nil, nil, err
	}
	if root.Kind() != document.Map {
		return nil, nil, errors.New("document is not a mapping from policy name to policy")
	}
	byID := map[ID]Definition{}
	for name, entry := range root.Pairs() {
		if _, twice := byID[ID(name)]; twice {
			warnings = append(warnings, name+": defined more than once; the last definition counts")
		}
		definition, unknown := readDefinition(ID(name), entry, found)
		for _, path := range unknown {
			warnings = append(warnings, path+": unknown key, ignored")
		}
		byID[ID(name)] = definition
	}
	if err := found.Err(); err != nil {
		return nil, nil, err
	}
	for _, definition := range byID {
		definitions = append(definitions, definition.withDefaults())
	}
	slices.SortFunc(definitions, func(a, b Definition) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return definitions, warnings, nil
}

// definitionWords words the faults of policies.yml.
func definitionWords(f document.Fault) string {
	switch {
	case f.Want == document.WantKey:
		f.Text = fmt.Sprintf("line %d: a key is not text", f.Line)
	case f.Problem == document.Mismatch:
		f.Text = "not " + f.Want
	case f.Problem == document.Duplicate:
		f.Path, f.Text = document.Join(f.Path, f.Key), "given twice"
	}
	f.Problem = document.Other
	return document.Words(f)
}

// readDefinition reads the entry of policy id. When that adds to found, the result is of no use. It
// returns the paths of the keys that mean nothing.
func readDefinition(id ID, entry document.Value, found *document.Faults) (d Definition, unknown []string) {
	d = Definition{ID: id}
	d.checkID(found)
	if entry.Kind() != document.Map {
		entry.Fault("a policy is a mapping with the key module")
		return d, nil
	}
	m, _ := entry.Mapping()
	if !m.Field("module").Exists() && (m.Field("policies").Exists() || m.Field("expression").Exists()) {
		entry.Fault("policy groups are not supported yet")
		return d, nil
	}
	d.Module = m.Optional("module").Text()
	d.Mode = readWord(m.Field("policyMode"), Mode.check)
	d.AllowedToMutate = m.Optional("allowedToMutate").Truth(false)
	d.Settings = readSettings(m.Optional("settings"))
	d.Resources = readResources(m.Field("contextAwareResources"))
	if message := m.Optional("message"); message.Exists() {
		text := message.Text()
		d.Message = &text
	}
	d.Timeout = readSeconds(m.Optional("timeoutEvalSeconds"))
	d.Sandbox = readWord(m.Field("sandboxMode"), checkSandbox)
	d.MemoryLimit = readBytes(m.Field("memoryLimitBytes"))
	d.Grants = readGrants(id, m.Field("hostCapabilities"))
	d.checkFields(found)
	// namespacedName is the controller's. A group's keys beside module are ignored, as the
	// reference does.
	return d, m.Unknown("module", "policyMode", "allowedToMutate", "settings", "contextAwareResources", "message",
		"timeoutEvalSeconds", "sandboxMode", "memoryLimitBytes", "hostCapabilities", "namespacedName", "policies", "expression")
}

// readWord reads one of the words that check knows, and leaves it to Check. Only the empty one is
// refused here: to code it is the default.
func readWord[T ~string](v document.Value, check func(T) error) T {
	text, ok := v.Scalar()
	switch {
	case v.Exists() && !ok:
		v.Mismatch(document.WantText)
	case ok && text == "":
		v.Fault("%v", check(""))
	}
	return T(text)
}

func readSettings(v document.Value) []byte {
	switch v.Kind() {
	case document.Absent:
		return nil
	case document.Map:
		settings, err := v.AppendJSON(nil)
		if err != nil {
			v.Fault("%v", err)
		}
		return settings
	}
	v.Fault(faultSettings)
	return nil
}

// readResources returns an element for each of the list, so that Check counts as the file does.
func readResources(v document.Value) (resources []Resource) {
	for _, item := range readList(v, "a list of {apiVersion, kind}") {
		var r Resource
		if item.Kind() == document.Map {
			m, _ := item.Mapping()
			r.APIVersion, r.Kind = m.Field("apiVersion").Text(), m.Field("kind").Text()
		} else {
			item.Mismatch("a mapping with apiVersion and kind")
		}
		resources = append(resources, r)
	}
	return resources
}

func readList(v document.Value, want string) []document.Value {
	if v.Exists() && v.Kind() != document.List {
		v.Mismatch(want)
		return nil
	}
	return v.List()
}

// maxTimeoutSeconds keeps a limit within what a time.Duration can hold; it is some 30 years.
const maxTimeoutSeconds = 1_000_000_000

func readSeconds(v document.Value) *time.Duration {
	if !v.Exists() {
		return nil
	}
	n, err := strconv.ParseUint(v.Number(), 10, 64)
	if err != nil {
		v.Fault(faultTimeout)
		return nil
	}
	limit := time.Duration(min(n, maxTimeoutSeconds)) * time.Second
	return &limit
}

// readBytes reads a limit. To code, 0 is the default; in a file it is too small.
func readBytes(v document.Value) int64 {
	n, err := strconv.ParseInt(v.Number(), 10, 64)
	if v.Exists() && (err != nil || n == 0) {
		v.Fault(faultMemory, wasmPage)
	}
	return n
}

func readGrants(id ID, v document.Value) hostcalls.Grants {
	var patterns []string
	for _, item := range readList(v, "a list of capability patterns") {
		if item.Kind() != document.Text {
			item.Mismatch(document.WantText)
			return hostcalls.Grants{}
		}
		patterns = append(patterns, item.Text())
	}
	grants, err := hostcalls.ParseGrants(patterns)
	if err != nil {
		v.Fault("invalid hostCapabilities pattern for policy %s: %v", id, err)
	}
	return grants
}
