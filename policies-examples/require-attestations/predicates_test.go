package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

// claimed reads a section of the settings.
func claimed(t testing.TB, parse func(*faults.List, string, sdk.Value) claim, settings string) claim {
	t.Helper()
	var found faults.List
	c := parse(&found, "x", sdk.JSON(settings))
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func predicate(t testing.TB, file string) sdk.Value {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return sdk.JSON(string(text))
}

func TestPredicates(t *testing.T) {
	const (
		trivyLog4j = "CVE-2021-44228 (org.apache.logging.log4j:log4j-core)"
		trivyBoth  = trivyLog4j + ", CVE-2021-45105 (org.apache.logging.log4j:log4j-core)"
		builder    = `"https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main"`
	)
	for name, c := range map[string]struct {
		parse    func(*faults.List, string, sdk.Value) claim
		settings string
		files    string // or documents in JSON
		want     string
	}{
		"builder":                     {parseProvenance, `{"builders":["https://github.com/acme/ci/*"]}`, "slsa-v1.json", ""},
		"builder, before version 1":   {parseProvenance, `{"builders":["x","https://github.com/acme/ci/*"],"predicateType":"https://slsa.dev/provenance/v0.2"}`, "slsa-v0.2.json", ""},
		"builder of one of several":   {parseProvenance, `{"builders":["https://github.com/acme/ci/*"]}`, `{"runDetails":{"builder":{"id":"https://laptop.example"}}} slsa-v1.json`, ""},
		"another builder":             {parseProvenance, `{"builders":["https://github.com/acme/other/*","y"]}`, "slsa-v1.json", "its provenance is by " + builder + ", and none of https://github.com/acme/other/*, y"},
		"no builder":                  {parseProvenance, `{"builders":["*"]}`, `{}`, "its provenance is by a builder without id, and none of *"},
		"builder that is no text":     {parseProvenance, `{"builders":["*"]}`, `{"runDetails":{"builder":{"id":7}}}`, "its provenance is by a builder without id, and none of *"},
		"Trivy, high":                 {parseVulnerabilities, `{"refuse":"HIGH"}`, "trivy.json", "it has vulnerabilities of severity HIGH or above: " + trivyBoth},
		"Trivy, critical":             {parseVulnerabilities, `{"refuse":"CRITICAL"}`, "trivy.json", "it has vulnerabilities of severity CRITICAL or above: " + trivyLog4j},
		"Trivy, anything":             {parseVulnerabilities, `{"refuse":"UNKNOWN"}`, "trivy.json", "it has vulnerabilities of severity UNKNOWN or above: " + trivyBoth + ", CVE-2024-0727 (openssl)"},
		"Trivy, but for exceptions":   {parseVulnerabilities, `{"refuse":"HIGH","except":["CVE-2021-44228","CVE-2021-45105"]}`, "trivy.json", ""},
		"Trivy, nothing found":        {parseVulnerabilities, `{"refuse":"LOW"}`, `{"scanner":{"result":{"SchemaVersion":2,"ArtifactName":"a"}}}`, ""},
		"Grype":                       {parseVulnerabilities, `{"refuse":"HIGH"}`, "grype.json", "it has vulnerabilities of severity HIGH or above: GHSA-jfh8-c2jp-5v3q (log4j-core)"},
		"Grype, but for exceptions":   {parseVulnerabilities, `{"refuse":"HIGH","except":["GHSA-jfh8-c2jp-5v3q"]}`, "grype.json", ""},
		"Grype, nothing found":        {parseVulnerabilities, `{"refuse":"LOW"}`, `{"scanner":{"result":{"matches":[]}}}`, ""},
		"a later clean report":        {parseVulnerabilities, `{"refuse":"CRITICAL"}`, `trivy.json {"scanner":{"result":{"matches":[]}}}`, "it has vulnerabilities of severity CRITICAL or above: " + trivyLog4j},
		"severity nobody knows":       {parseVulnerabilities, `{"refuse":"CRITICAL"}`, `{"scanner":{"result":{"matches":[{"vulnerability":{"id":"A","severity":"Terrible"}},{"vulnerability":{"id":"B"}},{"vulnerability":{"severity":"critical"}}]}}}`, "it has vulnerabilities of severity CRITICAL or above: A, B, one without id"},
		"many":                        {parseVulnerabilities, `{"refuse":"LOW"}`, `{"scanner":{"result":{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"C7"},{"VulnerabilityID":"C6"},{"VulnerabilityID":"C5"},{"VulnerabilityID":"C4"},{"VulnerabilityID":"C3"},{"VulnerabilityID":"C2"},{"VulnerabilityID":"C1"},{"VulnerabilityID":"C1"}]}]}}}`, "it has vulnerabilities of severity LOW or above: C1, C2, C3, C4, C5 and 2 more"},
		"report by another scanner":   {parseVulnerabilities, `{"refuse":"LOW"}`, `{"scanner":{"result":{"findings":[]}}}`, "its vulnerability report is neither Trivy's nor Grype's"},
		"no report":                   {parseVulnerabilities, `{"refuse":"LOW"}`, `null`, "its vulnerability report is neither Trivy's nor Grype's"},
		"results are no list":         {parseVulnerabilities, `{"refuse":"LOW"}`, `{"scanner":{"result":{"SchemaVersion":2,"Results":{}}}}`, "its vulnerability report is neither Trivy's nor Grype's"},
		"SPDX":                        {parseSBOM, `{"format":"spdx","forbidden":[{"name":"log4j-core"}]}`, "spdx.json", "it holds forbidden packages: log4j-core 2.14.1"},
		"SPDX, version in range":      {parseSBOM, `{"format":"spdx","forbidden":[{"name":"log4j-core","versions":">=2.0 <2.17.1"}]}`, "spdx.json", "it holds forbidden packages: log4j-core 2.14.1"},
		"SPDX, version beyond":        {parseSBOM, `{"format":"spdx","forbidden":[{"name":"log4j-core","versions":"<2.14.1"},{"name":"openssl","versions":">=3.1"}]}`, "spdx.json", ""},
		"SPDX, version unknown":       {parseSBOM, `{"format":"spdx","forbidden":[{"name":"left-pad","versions":"<1.0"}]}`, "spdx.json", "it holds forbidden packages: left-pad"},
		"SPDX, with the group":        {parseSBOM, `{"format":"spdx","forbidden":[{"name":"log4j-core"}]}`, `{"spdxVersion":"SPDX-2.3","packages":[{"name":"org.apache.logging.log4j:log4j-core","versionInfo":"2.3"}]}`, "it holds forbidden packages: org.apache.logging.log4j:log4j-core 2.3"},
		"SPDX, similar names":         {parseSBOM, `{"format":"spdx","forbidden":[{"name":"log4j"},{"name":"core"},{"name":"Log4j-Core"}]}`, "spdx.json", ""},
		"SPDX, nothing inside":        {parseSBOM, `{"format":"spdx","forbidden":[{"name":"x"}]}`, `{"spdxVersion":"SPDX-2.3"}`, ""},
		"SPDX, a text":                {parseSBOM, `{"format":"spdx","forbidden":[{"name":"x"}]}`, `{"Data":"SPDXVersion:_SPDX-2.3"}`, "its bill of materials is not spdx in JSON"},
		"SPDX, another version":       {parseSBOM, `{"format":"spdx","forbidden":[{"name":"x"}]}`, `{"spdxVersion":"SPDX-3.0","packages":[]}`, "its bill of materials is not spdx in JSON"},
		"CycloneDX":                   {parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"log4j-core"}]}`, "cyclonedx.json", "it holds forbidden packages: log4j-core 2.14.1"},
		"CycloneDX, with the group":   {parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"org.apache.logging.log4j:log4j-core"},{"name":"@acme/left-pad"}]}`, "cyclonedx.json", "it holds forbidden packages: left-pad, log4j-core 2.14.1"},
		"CycloneDX, another group":    {parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"org.example:log4j-core"}]}`, "cyclonedx.json", ""},
		"CycloneDX, version beyond":   {parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"log4j-core","versions":">=2.17.1"}]}`, "cyclonedx.json", ""},
		"CycloneDX, nothing inside":   {parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"x"}]}`, `{"bomFormat":"CycloneDX","components":null}`, ""},
		"CycloneDX, the wrong format": {parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"x"}]}`, "spdx.json", "its bill of materials is not cyclonedx in JSON"},
		"components are no list":      {parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"x"}]}`, `{"bomFormat":"CycloneDX","components":{}}`, "its bill of materials is not cyclonedx in JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			var predicates []sdk.Value
			for _, file := range strings.Fields(c.files) {
				if strings.HasSuffix(file, ".json") {
					predicates = append(predicates, predicate(t, file))
				} else {
					predicates = append(predicates, sdk.JSON(file))
				}
			}
			if got := strings.Join(claimed(t, c.parse, c.settings).judge(predicates), "; "); got != c.want {
				t.Errorf("says %q, expected %q", got, c.want)
			}
		})
	}
}

// FuzzPredicates holds that no attestation, whatever is in it, panics the policy, and that what
// nobody could read does not pass.
func FuzzPredicates(f *testing.F) {
	for _, file := range []string{"slsa-v1.json", "slsa-v0.2.json", "trivy.json", "grype.json", "spdx.json", "cyclonedx.json"} {
		f.Add(predicate(f, file).Raw())
	}
	f.Add(`{"components":[{"components":[[]]}],"packages":7,"scanner":[]}`)
	claims := []claim{
		claimed(f, parseProvenance, `{"builders":["https://*"]}`),
		claimed(f, parseVulnerabilities, `{"refuse":"HIGH"}`),
		claimed(f, parseSBOM, `{"format":"spdx","forbidden":[{"name":"log4j-core","versions":"<2.17"}]}`),
		claimed(f, parseSBOM, `{"format":"cyclonedx","forbidden":[{"name":"log4j-core"}]}`),
	}
	f.Fuzz(func(t *testing.T, text string) {
		document, passes := sdk.JSON(text), 0
		for _, c := range claims {
			if len(c.judge([]sdk.Value{document})) == 0 {
				passes++
			}
		}
		if document.Kind() != sdk.Object && passes > 0 {
			t.Fatalf("%q passes", text)
		}
	})
}
