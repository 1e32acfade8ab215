// Package session records the host calls of an evaluation in a file, and replays them from one, so that a policy can be tried
// without registries and clusters. Only policyctl and tests use it.
package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"go.yaml.in/yaml/v3"

	"policy-server/hostcalls"
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

// variants returns, by name of a variant, the fields without which it is not complete.
func variants() map[string]string {
	all := map[string]string{}
	for _, spec := range hostcalls.Specs() {
		maps.Copy(all, spec.Variants)
	}
	return all
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
