package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"policy-server/sdk"
)

// parseProfile returns the seccompProfile that the settings ask for, in the form Kubernetes wants,
// and reports everything that is wrong with them in one error.
func parseProfile(settings sdk.Value) (sdk.Value, error) {
	var faults []string
	kind, file := "RuntimeDefault", ""
	for field, value := range settings.Fields() {
		text, ok := value.Text()
		switch field {
		case "type":
			kind = text
		case "localhostProfile":
			file = text
		default:
			faults = append(faults, strconv.Quote(field)+": unknown field; known: type, localhostProfile")
			continue
		}
		if !ok {
			faults = append(faults, strconv.Quote(field)+": must be a string, not "+value.Kind().String())
		}
	}
	switch {
	case len(faults) > 0:
	case kind != "RuntimeDefault" && kind != "Localhost":
		faults = append(faults, `"type": unknown value `+strconv.Quote(kind)+"; known: RuntimeDefault, Localhost")
	case kind == "Localhost" && file == "":
		faults = append(faults, `"localhostProfile": required with type "Localhost"`)
	case kind != "Localhost" && file != "":
		faults = append(faults, `"localhostProfile": allowed with type "Localhost" only`)
	}
	if len(faults) > 0 {
		slices.Sort(faults) // the same text however the settings are ordered
		return sdk.Value{}, errors.New(strings.Join(faults, "; "))
	}
	if kind == "RuntimeDefault" {
		return sdk.JSON(`{"type":"RuntimeDefault"}`), nil
	}
	return sdk.Set(sdk.JSON(`{"type":"Localhost"}`), sdk.Quote(file), "localhostProfile")
}
