package policy

import (
	"errors"

	"go.yaml.in/yaml/v3"
)

// ParseSettings reads a policy's settings, YAML or JSON, into the JSON object a guest receives. Nothing and null are {}.
func ParseSettings(data []byte) ([]byte, error) {
	root, err := document(data)
	if err != nil {
		return nil, err
	}
	if root == nil || isNull(root) {
		return []byte("{}"), nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("Invalid settings in CRD, not an object")
	}
	return appendJSON(nil, root)
}
