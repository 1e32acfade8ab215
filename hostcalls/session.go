package hostcalls

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A session file holds the host calls of one evaluation and what they were answered, in order: a YAML list that test suites
// of policies ship. The request of an exchange is a text, which holds a YAML document of its own: a mapping whose tag names
// the variant.
//
//	- type: Exchange
//	  request: |
//	    !KubernetesGetResource
//	    api_version: v1
//	    …
//	  response:
//	    type: Success
//	    payload: '{"apiVersion":"v1",…}'

// maxSessionBytes bounds what is read of a session file. Lists of a large cluster are some tens of megabytes.
const maxSessionBytes = 256 << 20

// exchange is one host call of a session file, and its answer.
type exchange struct {
	request *yaml.Node // a mapping with the variant's tag
	payload string
	failure *string // nil: it succeeded with payload
}

// variants names the fields without which a variant is not complete. Others may be missing, which is the same as null.
func variants() map[string]string {
	return map[string]string{
		"OciManifestDigest":                                     "image",
		"OciManifest":                                           "image",
		"OciManifestAndConfig":                                  "image",
		"SigstorePubKeyVerify":                                  "image pub_keys",
		"SigstoreKeylessVerify":                                 "image keyless",
		"SigstoreKeylessPrefixVerify":                           "image keyless_prefix",
		"SigstoreGithubActionsVerify":                           "image owner",
		"SigstoreCertificateVerify":                             "image certificate require_rekor_bundle",
		"OciVerifyV3":                                           "image demands",
		"DNSLookupHost":                                         "host",
		"KubernetesListResourceNamespace":                       "api_version kind namespace",
		"KubernetesListResourceAll":                             "api_version kind",
		"KubernetesGetResource":                                 "api_version kind name disable_cache",
		"KubernetesGetResourcePluralName":                       "api_version kind",
		"KubernetesCanI":                                        "request disable_cache",
		"CryptoIsCertificateTrusted":                            "request",
		"HasKubernetesListResourceAllResultChangedSinceInstant": "api_version kind since",
	}
}

// parseSession reads a session file. Unknown keys are ignored.
func parseSession(data []byte) ([]exchange, error) {
	if len(data) > maxSessionBytes {
		return nil, fmt.Errorf("larger than %d bytes", maxSessionBytes)
	}
	var written []exchangeDocument
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&written); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	exchanges := make([]exchange, 0, len(written))
	for i, document := range written {
		e, err := document.exchange()
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		exchanges = append(exchanges, e)
	}
	return exchanges, nil
}

// exchangeDocument is an exchange as it is written.
type exchangeDocument struct {
	Type     string           `yaml:"type"`
	Request  string           `yaml:"request"`
	Response responseDocument `yaml:"response"`
}

type responseDocument struct {
	Type    string  `yaml:"type"`
	Payload *string `yaml:"payload,omitempty"`
	Message *string `yaml:"message,omitempty"`
}

func (d exchangeDocument) exchange() (e exchange, err error) {
	switch r := d.Response; {
	case d.Type != "Exchange":
		return e, fmt.Errorf("type: unknown variant %q, expected Exchange", d.Type)
	case r.Type == "Success" && r.Payload != nil:
		e.payload = *r.Payload
	case r.Type == "Success":
		return e, errors.New("response: missing field `payload`")
	case r.Type != "Error":
		return e, fmt.Errorf("response: unknown variant %q, expected Success or Error", r.Type)
	case r.Message == nil:
		return e, errors.New("response: missing field `message`")
	default:
		e.failure = r.Message
	}
	e.request, err = parseQuestion(d.Request)
	return e, err
}

// parseQuestion reads the request of an exchange.
func parseQuestion(text string) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("request: %q is not a mapping", text)
	}
	request := document.Content[0]
	variant, ok := strings.CutPrefix(request.Tag, "!")
	fields, known := variants()[variant]
	if !ok || !known {
		return nil, fmt.Errorf("request: %q begins with no known tag", text)
	}
	for name := range strings.FieldsSeq(fields) {
		if isNull(member(request, name)) {
			return nil, fmt.Errorf("request: !%s: missing field `%s`", variant, name)
		}
	}
	return request, nil
}

// member returns the value of a mapping's key, nil when it has none.
func member(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return dereference(mapping.Content[i+1])
		}
	}
	return nil
}

func dereference(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool {
	return node == nil || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// equals reports whether q is what an exchange of a file asks: the same variant, and the same fields as far as q has them.
func (q Question) equals(recorded *yaml.Node) bool {
	return recorded.Tag == "!"+q.Variant && matches(q.Fields, recorded)
}

// matches compares a value of a field with what a file says. Keys of the file that the field does not have are ignored.
func matches(value any, recorded *yaml.Node) bool {
	switch value := value.(type) {
	case Fields:
		if isNull(recorded) || recorded.Kind != yaml.MappingNode {
			return false
		}
		for _, field := range value {
			if !matches(field.Value, member(recorded, field.Name)) {
				return false
			}
		}
		return true
	case []Fields:
		if value == nil {
			return isNull(recorded)
		}
		return recorded != nil && recorded.Kind == yaml.SequenceNode && slices.EqualFunc(value, recorded.Content,
			func(fields Fields, element *yaml.Node) bool { return matches(fields, dereference(element)) })
	case []Bytes:
		if value == nil {
			return isNull(recorded)
		}
		return recorded != nil && recorded.Kind == yaml.SequenceNode && slices.EqualFunc(value, recorded.Content,
			func(data Bytes, element *yaml.Node) bool { return matchesPlain(data, dereference(element)) })
	}
	return matchesPlain(value, recorded)
}

// matchesPlain compares values without parts of their own: what the file says is decoded as one like them.
func matchesPlain(value any, recorded *yaml.Node) bool {
	if isNull(recorded) {
		return isNone(value)
	}
	switch value := value.(type) {
	case bool:
		return decodes(recorded, func(got bool) bool { return got == value })
	case int64:
		return decodes(recorded, func(got int64) bool { return got == value })
	case string:
		return decodes(recorded, func(got string) bool { return got == value })
	case *string:
		return value != nil && decodes(recorded, func(got string) bool { return got == *value })
	case []string:
		return value != nil && decodes(recorded, func(got []string) bool { return slices.Equal(got, value) })
	case Set:
		return value != nil && decodes(recorded, func(got []string) bool { return slices.Equal(canonical(got), canonical(value)) })
	case Bytes:
		return value != nil && decodes(recorded, func(got []int) bool {
			return slices.EqualFunc(got, value, func(n int, b byte) bool { return n == int(b) })
		})
	case map[string]string:
		return value != nil && decodes(recorded, func(got map[string]string) bool { return maps.Equal(got, value) })
	}
	return false
}

func decodes[T any](node *yaml.Node, test func(T) bool) bool {
	var got T
	return node.Decode(&got) == nil && test(got)
}
