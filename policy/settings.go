package policy

import (
	"errors"

	"policy-server/document"
)

// ParseSettings reads a policy's settings, YAML or JSON, into the JSON object a guest receives.
// Nothing and null are {}.
func ParseSettings(data []byte) ([]byte, error) {
	root, err := document.Reader{Faults: new(document.Faults)}.Read(data)
	if err != nil {
		return nil, err
	}
	switch root.Kind() {
	case document.Absent, document.Null:
		return []byte("{}"), nil
	case document.Map:
		return root.AppendJSON(nil)
	}
	return nil, errors.New("Invalid settings in CRD, not an object")
}
