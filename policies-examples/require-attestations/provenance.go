package main

import (
	"slices"
	"strconv"
	"strings"

	"policy-server/policies-examples/faults"
	"policy-server/policies-examples/glob"
	"policy-server/sdk"
)

// The types of provenance predicates, https://slsa.dev/provenance.
const (
	slsaV1 = "https://slsa.dev/provenance/v1"
	slsaV0 = "https://slsa.dev/provenance/v0.2"
)

// parseProvenance reads {"builders": [pattern, …], "predicateType": …}.
func parseProvenance(found *faults.List, path string, value sdk.Value) claim {
	found.Object(path, value, "builders", "predicateType")
	builders := found.Texts(faults.Member(path, "builders"), value.Get("builders"))
	if len(builders) == 0 {
		found.Add(faults.Member(path, "builders"), "must name at least one")
	}
	c := claim{predicateType: slsaV1}
	if at, given := faults.Member(path, "predicateType"), value.Get("predicateType"); given.Exists() {
		c.predicateType = found.OneOf(at, given, slsaV1, slsaV0)
	}
	c.judge = func(predicates []sdk.Value) []string { return judgeBuilders(builders, predicates) }
	return c
}

// judgeBuilders wants one of the predicates to name a builder that a pattern means: the others may
// be about builds that were repeated elsewhere.
func judgeBuilders(builders []string, predicates []sdk.Value) []string {
	var others []string
	for _, p := range predicates {
		id, _ := p.Get("runDetails", "builder", "id").Text() // version 1
		if id == "" {
			id, _ = p.Get("builder", "id").Text() // before
		}
		if id == "" {
			others = append(others, "a builder without id")
			continue
		}
		if slices.ContainsFunc(builders, func(pattern string) bool { return glob.Match(pattern, id) }) {
			return nil
		}
		others = append(others, strconv.Quote(id))
	}
	return []string{"its provenance is by " + listed(others) + ", and none of " + strings.Join(builders, ", ")}
}

// listed names the first of some findings, so that a message stays readable however much was found.
func listed(texts []string) string {
	const most = 5
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if more := len(texts) - most; more > 0 {
		return strings.Join(texts[:most], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(texts, ", ")
}
