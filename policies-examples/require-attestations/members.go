package main

import (
	"slices"

	"policy-server/sdk"
)

// members returns members of an object, in one pass over it: documents may have megabytes.
func members(object sdk.Value, names ...string) (found [4]sdk.Value) {
	for name, value := range object.Fields() {
		if i := slices.Index(names, name); i >= 0 {
			found[i] = value
		}
	}
	return found
}

func text(v sdk.Value) string {
	text, _ := v.Text()
	return text
}
