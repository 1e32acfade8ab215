// Package session records the host calls of an evaluation in a file, and replays them from one, so
// that a policy can be tried without registries and clusters. Only policyctl and tests use it.
package session

import (
	"fmt"
	"maps"
	"strings"

	"policy-server/document"
	"policy-server/hostcalls"
)

// A session file holds the host calls of one evaluation and what they were answered, in order: a
// YAML list that test suites of policies ship. The request of an exchange is a text, which holds a
// YAML document of its own: a mapping whose tag names the variant.
//
//	- type: Exchange
//	  request: |
//	    !KubernetesGetResource
//	    api_version: v1
//	    …
//	  response:
//	    type: Success
//	    payload: '{"apiVersion":"v1",…}'

// maxSessionBytes bounds what is read of a session file. Lists of a large cluster are some tens of
// megabytes.
const maxSessionBytes = 256 << 20

// exchange is one host call of a session file, and its answer.
type exchange struct {
	request document.Value // a mapping with the variant's tag
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
	found := new(document.Faults)
	root, err := document.Reader{Faults: found}.Read(data)
	if err != nil {
		return nil, err
	}
	var exchanges []exchange
	for i, item := range root.List() {
		e, err := readExchange(item)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		exchanges = append(exchanges, e)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("cannot unmarshal session: %w", err)
	}
	return exchanges, nil
}

func readExchange(item document.Value) (e exchange, err error) {
	m, _ := item.Mapping()
	kind, _ := m.Field("type").Scalar()
	if kind != "Exchange" {
		return e, fmt.Errorf("type: unknown variant %q, expected Exchange", kind)
	}
	response, _ := m.Optional("response").Mapping()
	outcome, _ := response.Optional("type").Scalar()
	key := map[string]string{"Success": "payload", "Error": "message"}[outcome]
	if key == "" {
		return e, fmt.Errorf("response: unknown variant %q, expected Success or Error", outcome)
	}
	text, ok := response.Optional(key).Scalar()
	if !ok {
		return e, fmt.Errorf("response: missing field `%s`", key)
	}
	if outcome == "Success" {
		e.payload = text
	} else {
		e.failure = &text
	}
	request, _ := m.Optional("request").Scalar()
	e.request, err = parseQuestion(request)
	return e, err
}

// parseQuestion reads the request of an exchange.
func parseQuestion(text string) (document.Value, error) {
	root, err := document.Reader{Faults: new(document.Faults), AsWanted: true}.Read([]byte(text))
	if err != nil {
		return root, fmt.Errorf("request: %w", err)
	}
	tag, untagged := root.Tag()
	fields, isMapping := untagged.Mapping()
	if !isMapping {
		return root, fmt.Errorf("request: %q is not a mapping", text)
	}
	variant, ok := strings.CutPrefix(tag, "!")
	required, known := variants()[variant]
	if !ok || !known {
		return root, fmt.Errorf("request: %q begins with no known tag", text)
	}
	for name := range strings.FieldsSeq(required) {
		if !fields.Optional(name).Exists() {
			return root, fmt.Errorf("request: !%s: missing field `%s`", variant, name)
		}
	}
	return root, nil
}
