package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"policy-server/internal/testing/examples"
	"policy-server/internal/testing/sigstoretest"
)

const (
	provenanceType = "https://slsa.dev/provenance/v1"
	reportType     = "https://cosign.sigstore.dev/attestation/vuln/v1"
	spdxType       = "https://spdx.dev/Document"
	cycloneDXType  = "https://cyclonedx.org/bom"
)

// TestRequireAttestations serves the example and has it look at what was really attested about
// images, in either layout.
func TestRequireAttestations(t *testing.T) {
	g := newGallery(t)
	scanner := g.key()
	workflow := g.issue(sigstoretest.Workflow("acme/app"))
	mallory := g.issue(sigstoretest.Workflow("mallory/app"))
	predicate := func(file string) []byte {
		content, err := os.ReadFile(filepath.Join(examples.Folder(t), "require-attestations", "testdata", file))
		g.must(err)
		return content
	}
	built, elsewhere := predicate("slsa-v1.json"), []byte(`{"runDetails":{"builder":{"id":"https://laptop.example"}}}`)
	severe, clean := predicate("trivy.json"), []byte(`{"scanner":{"result":{"SchemaVersion":2,"Results":[{"Target":"app"}]}}}`)

	type statement struct {
		by            sigstoretest.Credential
		predicateType string
		predicate     []byte
	}
	const unmet = "Callback evaluation failure: Image verification failed: attestation "
	digests := map[string]name.Digest{}
	refusals := map[string]string{}
	for _, c := range []struct {
		repository string
		attested   []statement
		refusal    string // part of it; "" when it is accepted
	}{
		{"built/here", []statement{{workflow, provenanceType, built}}, ""},
		{"built/twice", []statement{{workflow, provenanceType, elsewhere}, {workflow, provenanceType, built}}, ""},
		{"built/elsewhere", []statement{{workflow, provenanceType, elsewhere}}, `its provenance is by "https://laptop.example"`},
		{"built/says-mallory", []statement{{mallory, provenanceType, built}}, unmet + provenanceType},
		{"built/nobody-knows", nil, "no attestations found for image: "},
		{"built/reported", []statement{{workflow, reportType, clean}}, "no attestations found for image: "},
		{"scanned/clean", []statement{{scanner, reportType, clean}}, ""},
		{"scanned/severe", []statement{{scanner, reportType, severe}}, "it has vulnerabilities of severity HIGH or above: CVE-2021-44228 "},
		{"scanned/severe-and-clean", []statement{{scanner, reportType, severe}, {scanner, reportType, clean}}, "CVE-2021-44228 "},
		{"scanned/clean-says-mallory", []statement{{scanner, reportType, severe}, {mallory, reportType, clean}}, "CVE-2021-44228 "},
		{"spdx/log4j", []statement{{scanner, spdxType, predicate("spdx.json")}}, "it holds forbidden packages: log4j-core 2.14.1"},
		{"spdx/later-log4j", []statement{{scanner, spdxType, []byte(strings.ReplaceAll(string(predicate("spdx.json")), "2.14.1", "2.17.1"))}}, ""},
		{"cyclonedx/log4j", []statement{{scanner, cycloneDXType, predicate("cyclonedx.json")}}, "it holds forbidden packages: log4j-core 2.14.1"},
		{"cyclonedx/nothing", []statement{{scanner, cycloneDXType, []byte(`{"bomFormat":"CycloneDX","components":[]}`)}}, ""},
	} {
		for _, where := range []layout{inTags, inBundles} {
			repository := c.repository + "-in-" + string(where)
			digests[repository], refusals[repository] = g.push(repository), c.refusal
			for _, s := range c.attested {
				g.attest(digests[repository], where, s.by, s.predicateType, s.predicate)
			}
		}
	}

	byScanner := []object{{"kind": "pubKey", "key": string(scanner.Signer.PublicKeyPEM())}}
	log4j := []object{{"name": "log4j-core", "versions": "<2.17.1"}}
	s := g.serves("require-attestations", object{"rules": []object{
		{"image": g.host + "/built/*", "signers": []object{{"kind": "githubAction", "owner": "acme"}}, "provenance": object{"builders": []string{"https://github.com/acme/ci/*"}}},
		{"image": g.host + "/scanned/*", "signers": byScanner, "vulnerabilities": object{"refuse": "HIGH"}},
		{"image": g.host + "/spdx/*", "signers": byScanner, "sbom": object{"format": "spdx", "forbidden": log4j}},
		{"image": g.host + "/cyclonedx/*", "signers": byScanner, "sbom": object{"format": "cyclonedx", "forbidden": log4j}},
	}}, "oci/v3/verify")
	for repository, refusal := range refusals {
		t.Run(repository, func(t *testing.T) {
			image := g.image(repository)
			mutated, message := runs(t, s, "require-attestations", image)
			if want := image + "@" + digests[repository].DigestStr(); refusal == "" && mutated != want {
				t.Errorf("image is %q, refused because %q; want %q", mutated, message, want)
			}
			if refusal != "" && (!strings.HasPrefix(message, `image "`+image+`" is not accepted: `) || !strings.Contains(message, refusal)) {
				t.Errorf("image is %q, refused because %q; want %q", mutated, message, refusal)
			}
		})
	}
	s.stop(t)
}
