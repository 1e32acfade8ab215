package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"policy-server/sdk"
)

// quotas are the settings, ready to be applied.
type quotas struct {
	byUser   map[string]map[string]int64 // user, then resource
	fallback int64                       // for what byUser does not name
}

func (q *quotas) of(user, resource string) int64 {
	if quota, ok := q.byUser[user][resource]; ok {
		return quota
	}
	return q.fallback
}

// parseQuotas reads the settings and reports everything that is wrong with them in one error.
func parseQuotas(settings sdk.Value) (*quotas, error) {
	parsed := &quotas{byUser: map[string]map[string]int64{}}
	var faults []string
	amount := func(where string, value sdk.Value) int64 {
		n, ok := value.Int()
		if !ok || n < 0 {
			faults = append(faults, where+": must be an integer from 0")
		}
		return n
	}
	object := func(where string, value sdk.Value) sdk.Value {
		if value.Kind() != sdk.Object {
			faults = append(faults, where+": must be an object, not "+value.Kind().String())
		}
		return value
	}
	for field, value := range settings.Fields() {
		switch field {
		case "default":
			parsed.fallback = amount(`"default"`, value)
		case "quotas":
			for user, limits := range object(`"quotas"`, value).Fields() {
				where := `"quotas": ` + strconv.Quote(user)
				parsed.byUser[user] = map[string]int64{}
				for resource, limit := range object(where, limits).Fields() {
					parsed.byUser[user][resource] = amount(where+": "+strconv.Quote(resource), limit)
				}
			}
		default:
			faults = append(faults, strconv.Quote(field)+": unknown field; known: default, quotas")
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults) // the same text however the settings are ordered
		return nil, errors.New(strings.Join(faults, "; "))
	}
	return parsed, nil
}
