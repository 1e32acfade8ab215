// Package decode reads values of package sdk into Go types with encoding/json, for policies whose
// authors prefer struct tags to paths. It stands apart because it is not free: see the README of
// sdk for what encoding/json adds to a guest's size and to a request. It knows no types of its own.
package decode

import (
	"encoding/json"
	"strings"

	"policy-server/sdk"
)

// Into decodes v into the value that target points to, as json.Unmarshal does. A missing v leaves
// target as it is. The whole of v is read: decode the part of a document that the policy looks at,
// not the document.
func Into(v sdk.Value, target any) error {
	if !v.Exists() {
		return nil
	}
	return json.Unmarshal([]byte(v.Raw()), target)
}

// Strict is Into for settings: it refuses members that target has no field for, so that an operator
// learns of a misspelt one.
func Strict(v sdk.Value, target any) error {
	if !v.Exists() {
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(v.Raw()))
	decoder.DisallowUnknownFields()
	return decoder.Decode(target)
}

// Value encodes a Go value as JSON, for mutations and host calls.
func Value(from any) (sdk.Value, error) {
	text, err := json.Marshal(from)
	if err != nil {
		return sdk.Value{}, err
	}
	return sdk.JSON(string(text)), nil
}
