package main

import (
	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

// parseSettings reads the settings and reports everything that is wrong with them in one error.
func parseSettings(settings sdk.Value) (*wanted, error) {
	var found faults.List
	found.Object("", settings, "pinImages", "rules")
	w := &wanted{pin: found.Bool("pinImages", settings.Get("pinImages"), true)}
	for i, value := range found.Elements("rules", settings.Get("rules"), "objects") {
		w.rules = append(w.rules, parseRule(&found, faults.Element("rules", i), value))
	}
	if len(w.rules) == 0 {
		found.Add("rules", "must hold at least one rule")
	}
	return w, found.Err()
}

// parseRule reads one rule: images, signers, and at least one kind of attestation.
func parseRule(found *faults.List, path string, value sdk.Value) (r rule) {
	if !found.Object(path, value, "image", "signers", "requiredSigners", "provenance", "vulnerabilities", "sbom") {
		return rule{}
	}
	r.image = found.Text(faults.Member(path, "image"), value.Get("image"))
	signers := faults.Member(path, "signers")
	for i, element := range found.Elements(signers, value.Get("signers"), "objects") {
		r.signers.AnyOf = append(r.signers.AnyOf, parseSigner(found, faults.Element(signers, i), element))
	}
	if len(r.signers.AnyOf) == 0 {
		found.Add(signers, "must name at least one")
	}
	r.signers.Required = parseRequired(found, faults.Member(path, "requiredSigners"), value.Get("requiredSigners"))
	for _, section := range []struct {
		name  string
		parse func(*faults.List, string, sdk.Value) claim
	}{{"provenance", parseProvenance}, {"vulnerabilities", parseVulnerabilities}, {"sbom", parseSBOM}} {
		if of := value.Get(section.name); of.Exists() && !of.IsNull() {
			r.claims = append(r.claims, section.parse(found, faults.Member(path, section.name), of))
		}
	}
	if len(r.claims) == 0 {
		found.Add(path, "asks for nothing; known: provenance, vulnerabilities, sbom")
	}
	return r
}

// parseRequired reads how many distinct signers each kind of attestation needs.
func parseRequired(found *faults.List, path string, value sdk.Value) int {
	if !value.Exists() || value.IsNull() {
		return 1
	}
	const most = 64 // of the host's
	n, ok := value.Int()
	if !ok || n < 1 || n > most {
		found.Add(path, "must be an integer from 1 to 64")
	}
	return int(n)
}
