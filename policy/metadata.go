package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"policy-server/document"
)

// MetadataSection is the name of the custom section of a module that holds its metadata as JSON. Of
// several sections with that name the first counts.
const MetadataSection = "io.kubewarden.metadata"

// CompatibleVersion is the Kubewarden version whose policies run here. A policy's
// minimumKubewardenVersion is compared with it; it is not our own release.
const CompatibleVersion = "1.36.0"

// Metadata is what a policy's author declares about a module. When serving, only ExecutionMode,
// ProtocolVersion and MinimumKubewardenVersion matter; the rest informs people and other tools, and
// grants nothing.
type Metadata struct {
	ProtocolVersion          string            `json:"protocolVersion,omitempty"` // "v1" or "Unknown"
	Rules                    []Rule            `json:"rules"`                     // required, may be empty
	Annotations              map[string]string `json:"annotations,omitempty"`
	Mutating                 bool              `json:"mutating"` // required
	BackgroundAudit          bool              `json:"backgroundAudit"`
	ExecutionMode            ExecutionMode     `json:"executionMode"`
	PolicyType               string            `json:"policyType"` // "kubernetes" or "raw"
	ContextAwareResources    []MetadataKind    `json:"contextAwareResources"`
	HostCapabilities         []string          `json:"hostCapabilities,omitempty"`
	MinimumKubewardenVersion string            `json:"minimumKubewardenVersion,omitempty"`
}

// Rule says which requests a policy is meant for, as in a webhook configuration.
type Rule struct {
	APIGroups   []string `json:"apiGroups"`
	APIVersions []string `json:"apiVersions"`
	Resources   []string `json:"resources"`
	Operations  []string `json:"operations"`
}

// MetadataKind is a kind of Kubernetes object a policy wants to read.
type MetadataKind struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// ExecutionMode is the guest protocol a module speaks.
type ExecutionMode string

// The execution modes.
const (
	ExecuteWaPC       ExecutionMode = "kubewarden-wapc"
	ExecuteOPA        ExecutionMode = "opa"
	ExecuteGatekeeper ExecutionMode = "gatekeeper"
	ExecuteWASI       ExecutionMode = "wasi"
)

// maxMetadata bounds what is read of metadata, in bytes, since anybody may have written the module:
// in memory, a document is some hundred times its size. Usage texts are the largest part, of some
// ten thousand bytes.
const maxMetadata = 1 << 20

// ParseMetadata reads metadata as it stands in a module: JSON, unknown keys ignored. Missing
// optional keys get their defaults.
func ParseMetadata(data []byte) (Metadata, error) {
	if len(data) > maxMetadata {
		return Metadata{}, fmt.Errorf("metadata of %d bytes; want at most %d", len(data), maxMetadata)
	}
	return parseMetadata(func(r document.Reader) (document.Value, error) { return r.ReadJSON(data) })
}

// ParseMetadataYAML reads metadata as an author writes it, in YAML.
func ParseMetadataYAML(data []byte) (Metadata, error) {
	return parseMetadata(func(r document.Reader) (document.Value, error) { return r.Read(data) })
}

func parseMetadata(read func(document.Reader) (document.Value, error)) (Metadata, error) {
	found := &document.Faults{Words: metadataWords}
	root, err := read(document.Reader{Faults: found, AsWanted: true})
	if err != nil {
		return Metadata{}, err
	}
	fields, ok := root.Mapping()
	if !ok && root.Exists() {
		return Metadata{}, found.Err()
	}
	m := readMetadata(fields)
	m.checkValues(found)
	m.normalise()
	return m, found.Err()
}

// metadataWords words the faults of metadata; scripts look for what is said of missing fields.
func metadataWords(f document.Fault) string {
	if f.Problem == document.Missing {
		f.Problem, f.Text = document.Other, fmt.Sprintf("missing field `%s`", f.Key)
	}
	return document.Words(f)
}

func readMetadata(m document.Mapping) Metadata {
	metadata := Metadata{
		ProtocolVersion:          m.Optional("protocolVersion").Text(),
		Mutating:                 m.Required("mutating").Truth(false),
		BackgroundAudit:          m.Field("backgroundAudit").Truth(true),
		ExecutionMode:            ExecutionMode(textOr(m.Field("executionMode"), string(ExecuteWaPC))),
		PolicyType:               textOr(m.Field("policyType"), "kubernetes"),
		HostCapabilities:         m.Optional("hostCapabilities").TextList(),
		MinimumKubewardenVersion: m.Optional("minimumKubewardenVersion").Text(),
	}
	for _, item := range m.Required("rules").List() {
		rule, _ := item.Mapping()
		metadata.Rules = append(metadata.Rules, Rule{
			APIGroups: rule.Field("apiGroups").TextList(), APIVersions: rule.Field("apiVersions").TextList(),
			Resources: rule.Field("resources").TextList(), Operations: rule.Field("operations").TextList(),
		})
	}
	if annotations := m.Optional("annotations"); annotations.Exists() {
		metadata.Annotations = map[string]string{}
		for key, value := range annotations.Pairs() { // of a key that is there twice the last value counts
			metadata.Annotations[key] = value.Text()
		}
	}
	for _, item := range m.Field("contextAwareResources").List() {
		kind, _ := item.Mapping()
		metadata.ContextAwareResources = append(metadata.ContextAwareResources,
			MetadataKind{APIVersion: kind.Field("apiVersion").Text(), Kind: kind.Field("kind").Text()})
	}
	return metadata
}

func textOr(v document.Value, fallback string) string {
	if !v.Exists() {
		return fallback
	}
	return v.Text()
}

// checkValues adds which words are none of those that are known.
func (m *Metadata) checkValues(found *document.Faults) {
	for _, enum := range []struct{ field, value, known string }{
		{"protocolVersion", m.ProtocolVersion, ",v1,Unknown"},
		{"executionMode", string(m.ExecutionMode), "kubewarden-wapc,opa,gatekeeper,wasi"},
		{"policyType", m.PolicyType, "kubernetes,raw"},
	} {
		if !slices.Contains(strings.Split(enum.known, ","), enum.value) && !found.Concern(enum.field) {
			found.Add(enum.field, "unknown variant %q, expected one of %s", enum.value,
				strings.TrimPrefix(strings.ReplaceAll(enum.known, ",", ", "), ", "))
		}
	}
	for i, rule := range m.Rules {
		for _, operation := range rule.Operations {
			if !slices.Contains([]string{"CREATE", "UPDATE", "DELETE", "CONNECT", "*"}, operation) {
				found.Add(document.Element("rules", i)+".operations", "unknown operation %q; known: CREATE, UPDATE, DELETE, CONNECT, *", operation)
			}
		}
	}
	if m.MinimumKubewardenVersion != "" {
		if _, err := semver.StrictNewVersion(m.MinimumKubewardenVersion); err != nil {
			found.Add("", "minimumKubewardenVersion %q: %v", m.MinimumKubewardenVersion, err)
		}
	}
}

// normalise sorts what is a set, and makes an absent list an empty one, so that equal metadata has
// equal JSON.
func (m *Metadata) normalise() {
	if m.Rules == nil {
		m.Rules = []Rule{}
	}
	for i := range m.Rules {
		for _, list := range []*[]string{&m.Rules[i].APIGroups, &m.Rules[i].APIVersions, &m.Rules[i].Resources, &m.Rules[i].Operations} {
			if *list == nil {
				*list = []string{}
			}
		}
	}
	slices.SortFunc(m.ContextAwareResources, func(a, b MetadataKind) int {
		return strings.Compare(a.APIVersion+"\x00"+a.Kind, b.APIVersion+"\x00"+b.Kind)
	})
	m.ContextAwareResources = slices.Compact(m.ContextAwareResources)
	if m.ContextAwareResources == nil {
		m.ContextAwareResources = []MetadataKind{}
	}
	slices.Sort(m.HostCapabilities)
	m.HostCapabilities = slices.Compact(m.HostCapabilities)
}

// Encode returns m as the JSON that goes into a module.
func (m Metadata) Encode() ([]byte, error) { return json.Marshal(m) }

// CheckServable reports why a module with this metadata cannot be served here: a newer Kubewarden
// wanted, or a waPC module whose protocol version is missing or unknown.
func (m Metadata) CheckServable() error {
	if m.MinimumKubewardenVersion != "" {
		wanted, err := semver.StrictNewVersion(m.MinimumKubewardenVersion)
		if err != nil {
			return err
		}
		ours := semver.MustParse(CompatibleVersion)
		if wanted.Major() > ours.Major() || wanted.Major() == ours.Major() && wanted.Minor() > ours.Minor() {
			return fmt.Errorf("Policy required Kubewarden version %d.%d.0 but is running on %s", wanted.Major(), wanted.Minor(), CompatibleVersion)
		}
	}
	if m.ExecutionMode != ExecuteWaPC {
		return nil
	}
	switch m.ProtocolVersion {
	case "v1":
		return nil
	case "":
		return fmt.Errorf("Policy is missing protocol version, which is required for KubewardenWapc execution mode")
	default:
		return fmt.Errorf("Policy uses protocol version %s but only V1 is supported", m.ProtocolVersion)
	}
}
