package main

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

// vulnType is the type of predicates that hold a scanner's report, as cosign attests them:
// https://github.com/sigstore/cosign/blob/main/specs/COSIGN_VULN_ATTESTATION_SPEC.md.
const vulnType = "https://cosign.sigstore.dev/attestation/vuln/v1"

// severities are the words that scanners use, the mildest first.
func severities() []string {
	return []string{"UNKNOWN", "NEGLIGIBLE", "LOW", "MEDIUM", "HIGH", "CRITICAL"}
}

// A limit says which vulnerabilities an image must not have.
type limit struct {
	severity int // index in severities
	except   []string
}

// parseVulnerabilities reads {"refuse": severity, "except": [id, …], "predicateType": …}.
func parseVulnerabilities(found *faults.List, path string, value sdk.Value) claim {
	found.Object(path, value, "refuse", "except", "predicateType")
	severity := found.OneOf(faults.Member(path, "refuse"), value.Get("refuse"), severities()...)
	l := limit{
		severity: slices.Index(severities(), severity),
		except:   found.Texts(faults.Member(path, "except"), value.Get("except")),
	}
	given := found.Optional(faults.Member(path, "predicateType"), value.Get("predicateType"))
	return claim{predicateType: cmp.Or(given, vulnType), judge: l.judge}
}

// judge holds every report against the limit: each is by a signer that counts, and one that found
// nothing does not undo what another one found.
func (l limit) judge(reports []sdk.Value) (wrong []string) {
	var severe []string
	for _, report := range reports {
		found, ok := vulnerabilities(report.Get("scanner", "result"))
		if !ok {
			wrong = append(wrong, "its vulnerability report is neither Trivy's nor Grype's")
			continue
		}
		for v := range found {
			if id, refused := l.refuses(v); refused {
				severe = append(severe, id)
			}
		}
	}
	if len(severe) > 0 {
		wrong = append(wrong, "it has vulnerabilities of severity "+severities()[l.severity]+" or above: "+listed(severe))
	}
	return wrong
}

// refuses reports whether a vulnerability is too severe, and names it. A severity that is no known
// word counts as the worst.
func (l limit) refuses(v vulnerability) (string, bool) {
	id, _ := v.id.Text()
	word, _ := v.severity.Text()
	severity := slices.Index(severities(), strings.ToUpper(word))
	if severity >= 0 && severity < l.severity || slices.Contains(l.except, id) {
		return "", false
	}
	if id == "" {
		id = "one without id"
	}
	if name, _ := v.pkg.Text(); name != "" {
		id += " (" + name + ")"
	}
	return id, true
}

// A vulnerability is what a report says of one.
type vulnerability struct{ id, severity, pkg sdk.Value }

// vulnerabilities reads a report in JSON by Trivy or by Grype, and reports whether it is one of
// theirs:
//
//	Trivy: {"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{"VulnerabilityID", "PkgName", "Severity"}, …]}, …]}
//	Grype: {"matches": [{"vulnerability": {"id", "severity"}, "artifact": {"name"}}, …]}
//
// Trivy leaves lists out in which nothing is.
func vulnerabilities(report sdk.Value) (iter.Seq[vulnerability], bool) {
	if matches := report.Get("matches"); matches.Kind() == sdk.Array {
		return func(yield func(vulnerability) bool) {
			for match := range matches.Each() {
				of := members(match, "vulnerability", "artifact")
				found := members(of[0], "id", "severity")
				if !yield(vulnerability{found[0], found[1], of[1].Get("name")}) {
					return
				}
			}
		}, true
	}
	of := members(report, "Results", "SchemaVersion")
	results := of[0]
	if results.Kind() != sdk.Array && (results.Exists() || of[1].Kind() != sdk.Number) {
		return nil, false
	}
	return func(yield func(vulnerability) bool) {
		for result := range results.Each() {
			for v := range result.Get("Vulnerabilities").Each() {
				found := members(v, "VulnerabilityID", "Severity", "PkgName")
				if !yield(vulnerability{found[0], found[1], found[2]}) {
					return
				}
			}
		}
	}, true
}
