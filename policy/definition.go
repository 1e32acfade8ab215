package policy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"policy-server/admission"
	"policy-server/hostcalls"
	"policy-server/runtime"
)

// Mode says what a policy's refusal does.
type Mode string

// The modes a policy can have.
const (
	Protect Mode = "protect" // it refuses the request
	Monitor Mode = "monitor" // it is logged, and the request is accepted
)

// Definition is a policy as its operator wrote it. The zero value of each field but ID and Module is its default.
type Definition struct {
	ID              ID
	Module          string // reference or URL, as written
	Mode            Mode   // Protect when empty
	AllowedToMutate bool
	Settings        []byte         // a JSON object; {} when empty
	Message         *string        // replaces the policy's own message when it refuses
	Timeout         *time.Duration // replaces the server's limit for one evaluation
	Resources       []Resource     // the Kubernetes kinds it may read
	Sandbox         runtime.Mode   // replaces the server's way to a clean instance
	MemoryLimit     int64          // bytes of an instance's memory, at most the server's limit; 0: that limit
	Grants          hostcalls.Grants
}

// withDefaults fills in what stands for nothing, so that definitions that mean the same are equal.
func (d Definition) withDefaults() Definition {
	d.Mode = cmp.Or(d.Mode, Protect)
	if len(d.Settings) == 0 {
		d.Settings = []byte("{}")
	}
	return d
}

// Resource is a kind of Kubernetes object.
type Resource = hostcalls.Resource

// ParseDefinitions reads policies.yml: a mapping from policy name to entry, in YAML or JSON. An empty document defines
// no policies. The definitions are sorted by ID; warnings names what was ignored.
//
// The error joins every fault of the file, each with its path. Policy groups are refused: they are not supported yet.
func ParseDefinitions(data []byte) (definitions []Definition, warnings []string, err error) {
	root, err := document(data)
	if err != nil || root == nil {
		return nil, nil, err
	}
	if root.Kind != yaml.MappingNode {
		return nil, nil, errors.New("document is not a mapping from policy name to policy")
	}
	p := &parser{}
	byID := map[ID]Definition{}
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], dereference(root.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			p.fault("", "line %d: a policy name is not a scalar", key.Line)
			continue
		}
		if _, twice := byID[ID(key.Value)]; twice {
			p.warn(key.Value, "defined more than once; the last definition counts")
		}
		byID[ID(key.Value)] = p.definition(key.Value, value)
	}
	if err := errors.Join(p.faults...); err != nil {
		return nil, nil, err
	}
	for _, definition := range byID {
		definitions = append(definitions, definition)
	}
	slices.SortFunc(definitions, func(a, b Definition) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return definitions, p.warnings, nil
}

// document returns the root of data's only YAML document, nil when it holds none. What is JSON is read as JSON.
func document(data []byte) (*yaml.Node, error) {
	if _, err := admission.ParseRaw(data); err == nil {
		return jsonDocument(data)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("deserializing from YAML containing more than one document is not supported")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" && root.Style == 0 {
		return nil, nil // "---" alone
	}
	return root, nil
}

func dereference(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// parser reads definitions and collects what is wrong with them, each fault with its path in the file.
type parser struct {
	faults   []error
	warnings []string
}

func (p *parser) fault(path, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (p *parser) warn(path, format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// definition reads the entry of policy name. What is wrong goes to p.faults, and the result is then of no use.
func (p *parser) definition(name string, entry *yaml.Node) Definition {
	d := Definition{ID: ID(name), Mode: Protect, Settings: []byte("{}")}
	if strings.Contains(name, "/") {
		p.fault(name, "policy name '%s' contains a '/' character", name)
	} else if _, err := ParseID(name); err != nil {
		p.fault(strconv.Quote(name), "%v", err)
	}
	if entry.Kind != yaml.MappingNode {
		p.fault(name, "a policy is a mapping with the key module")
		return d
	}
	seen := map[string]bool{}
	for i := 0; i < len(entry.Content); i += 2 {
		key, value := entry.Content[i].Value, dereference(entry.Content[i+1])
		path := name + "." + key
		if seen[key] {
			p.fault(path, "given twice")
		}
		seen[key] = true
		p.field(&d, path, key, value)
	}
	switch {
	case seen["module"]:
	case seen["policies"] || seen["expression"]:
		p.fault(name, "policy groups are not supported yet")
	default:
		p.fault(name, "module is missing")
	}
	return d
}

func (p *parser) field(d *Definition, path, key string, value *yaml.Node) {
	switch key {
	case "module":
		d.Module = p.text(path, value)
	case "policyMode":
		d.Mode = Mode(p.text(path, value))
		if d.Mode != Protect && d.Mode != Monitor {
			p.fault(path, "%q is no mode; known: %s, %s", value.Value, Protect, Monitor)
		}
	case "allowedToMutate":
		d.AllowedToMutate = p.truth(path, value)
	case "settings":
		d.Settings = p.settings(path, value)
	case "contextAwareResources":
		d.Resources = p.resources(path, value)
	case "message":
		if !isNull(value) {
			message := p.text(path, value)
			d.Message = &message
		}
	case "timeoutEvalSeconds":
		d.Timeout = p.seconds(path, value)
	case "sandboxMode":
		d.Sandbox = p.sandbox(path, value)
	case "memoryLimitBytes":
		d.MemoryLimit = p.bytes(path, value)
	case "hostCapabilities":
		d.Grants = p.grants(path, value)
	case "namespacedName", "policies", "expression": // the controller's; a group's keys beside module are ignored
	default:
		p.warn(path, "unknown key, ignored")
	}
}

func isNull(node *yaml.Node) bool {
	kind, text := resolve(node)
	return node.Kind == yaml.ScalarNode && kind == literalScalar && text == "null"
}

func (p *parser) text(path string, node *yaml.Node) string {
	if kind, _ := resolve(node); node.Kind != yaml.ScalarNode || kind != stringScalar {
		p.fault(path, "not a string")
	}
	return node.Value
}

func (p *parser) truth(path string, node *yaml.Node) bool {
	switch kind, text := resolve(node); {
	case node.Kind != yaml.ScalarNode || kind != literalScalar || text != "true" && text != "false" && text != "null":
		p.fault(path, "not true or false")
		return false
	default:
		return text == "true"
	}
}

// maxTimeoutSeconds keeps a limit within what a time.Duration can hold; it is some 30 years.
const maxTimeoutSeconds = 1_000_000_000

func (p *parser) seconds(path string, node *yaml.Node) *time.Duration {
	if isNull(node) {
		return nil
	}
	kind, text := resolve(node)
	n, err := strconv.ParseUint(text, 10, 64)
	if node.Kind != yaml.ScalarNode || kind != literalScalar || err != nil {
		p.fault(path, "not a whole number of seconds")
		return nil
	}
	limit := time.Duration(min(n, maxTimeoutSeconds)) * time.Second
	return &limit
}

// sandbox reads how a policy's instances come about. It is our own key; upstream's server ignores it.
func (p *parser) sandbox(path string, node *yaml.Node) runtime.Mode {
	mode := runtime.Mode(p.text(path, node))
	if mode != runtime.ModeReset && mode != runtime.ModeFresh {
		p.fault(path, "%q is no sandbox mode; known: %s, %s", node.Value, runtime.ModeReset, runtime.ModeFresh)
	}
	return mode
}

// bytes reads a limit on memory. It is our own key; upstream's server ignores it.
func (p *parser) bytes(path string, node *yaml.Node) int64 {
	kind, text := resolve(node)
	n, err := strconv.ParseInt(text, 10, 64)
	if node.Kind != yaml.ScalarNode || kind != literalScalar || err != nil || n < wasmPage {
		p.fault(path, "not a number of bytes; at least %d, a page of WebAssembly memory", wasmPage)
		return 0
	}
	return n
}

const wasmPage = 64 << 10

func (p *parser) settings(path string, node *yaml.Node) []byte {
	if isNull(node) {
		return []byte("{}")
	}
	if node.Kind != yaml.MappingNode {
		p.fault(path, "settings must be a mapping")
		return nil
	}
	settings, err := appendJSON(nil, node)
	if err != nil {
		p.fault(path, "%v", err)
	}
	return settings
}

func (p *parser) resources(path string, node *yaml.Node) []Resource {
	if node.Kind != yaml.SequenceNode {
		p.fault(path, "not a list of {apiVersion, kind}")
		return nil
	}
	var resources []Resource
	for i, element := range node.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		element = dereference(element)
		if element.Kind != yaml.MappingNode {
			p.fault(at, "not a mapping with apiVersion and kind")
			continue
		}
		values := map[string]string{}
		for j := 0; j < len(element.Content); j += 2 {
			if key := element.Content[j].Value; key == "apiVersion" || key == "kind" {
				values[key] = p.text(at+"."+key, dereference(element.Content[j+1]))
			}
		}
		for _, key := range []string{"apiVersion", "kind"} {
			if _, ok := values[key]; !ok {
				p.fault(at, "%s is missing", key)
			}
		}
		if r := (Resource{APIVersion: values["apiVersion"], Kind: values["kind"]}); !slices.Contains(resources, r) {
			resources = append(resources, r)
		}
	}
	return resources
}

func (p *parser) grants(path string, node *yaml.Node) hostcalls.Grants {
	if node.Kind != yaml.SequenceNode {
		p.fault(path, "not a list of capability patterns")
		return hostcalls.Grants{}
	}
	var patterns []string
	for i, element := range node.Content {
		patterns = append(patterns, p.text(fmt.Sprintf("%s[%d]", path, i), dereference(element)))
	}
	grants, err := hostcalls.ParseGrants(patterns)
	if err != nil {
		name, _, _ := strings.Cut(path, ".")
		p.fault(path, "invalid hostCapabilities pattern for policy %s: %v", name, err)
	}
	return grants
}
