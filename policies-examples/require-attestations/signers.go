package main

import (
	"encoding/pem"
	"strings"

	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

// parseSigner reads an entry as it stands in the server's verification config: a kind, what it
// takes to describe a signer of that kind, and annotations.
func parseSigner(found *faults.List, path string, value sdk.Value) sdk.SignerConstraint {
	if value.Kind() != sdk.Object {
		found.Object(path, value)
		return sdk.SignerConstraint{}
	}
	kind, _ := value.Get("kind").Text()
	read := signerKinds()[kind]
	if read.parse == nil {
		found.OneOf(faults.Member(path, "kind"), value.Get("kind"), "pubKey", "genericIssuer", "githubAction", "certificate")
		return sdk.SignerConstraint{}
	}
	found.Object(path, value, append([]string{"kind", "annotations"}, read.members...)...)
	c := read.parse(found, path, value)
	if annotations := found.TextMap(faults.Member(path, "annotations"), value.Get("annotations")); len(annotations) > 0 {
		c = c.WithAnnotations(annotations)
	}
	return c
}

type signerKind struct {
	members []string
	parse   func(found *faults.List, path string, value sdk.Value) sdk.SignerConstraint
}

// signerKinds are the kinds by their names.
func signerKinds() map[string]signerKind {
	return map[string]signerKind{
		"pubKey":        {[]string{"owner", "key"}, parseKey},
		"genericIssuer": {[]string{"issuer", "subject"}, parseIdentity},
		"githubAction":  {[]string{"owner", "repo"}, parseWorkflow},
		"certificate":   {[]string{"certificate", "certificateChain", "requireRekorBundle"}, parseCertificate},
	}
}

// parseKey reads a key. Its owner is for people.
func parseKey(found *faults.List, path string, value sdk.Value) sdk.SignerConstraint {
	found.Optional(faults.Member(path, "owner"), value.Get("owner"))
	return sdk.SignedByKey(parsePEM(found, faults.Member(path, "key"), value.Get("key")))
}

func parseIdentity(found *faults.List, path string, value sdk.Value) sdk.SignerConstraint {
	issuer := found.Text(faults.Member(path, "issuer"), value.Get("issuer"))
	at, subject := faults.Member(path, "subject"), value.Get("subject")
	if !found.Object(at, subject, "equal", "urlPrefix", "regex") {
		return sdk.SignerConstraint{}
	}
	if subject.Len() != 1 {
		found.Add(at, "must have one member; known: equal, urlPrefix, regex")
	}
	for demand, text := range subject.Fields() {
		wanted := found.Text(faults.Member(at, demand), text)
		switch demand {
		case "equal":
			return sdk.SignedByIdentity(sdk.KeylessInfo{Issuer: issuer, Subject: wanted})
		case "urlPrefix":
			return sdk.SignedByPrefix(sdk.KeylessPrefixInfo{Issuer: issuer, URLPrefix: wanted})
		case "regex":
			return sdk.SignedByMatch(issuer, wanted)
		}
	}
	return sdk.SignerConstraint{}
}

func parseWorkflow(found *faults.List, path string, value sdk.Value) sdk.SignerConstraint {
	return sdk.SignedByGithubAction(
		found.Text(faults.Member(path, "owner"), value.Get("owner")),
		found.Optional(faults.Member(path, "repo"), value.Get("repo")))
}

func parseCertificate(found *faults.List, path string, value sdk.Value) sdk.SignerConstraint {
	info := sdk.CertificateInfo{
		Certificate:        []byte(parsePEM(found, faults.Member(path, "certificate"), value.Get("certificate"))),
		RequireRekorBundle: found.Bool(faults.Member(path, "requireRekorBundle"), value.Get("requireRekorBundle"), true),
	}
	if chain := value.Get("certificateChain"); chain.Exists() && !chain.IsNull() {
		info.Chain = [][]byte{[]byte(parsePEM(found, faults.Member(path, "certificateChain"), chain))}
	}
	return sdk.SignedByCertificate(info)
}

// parsePEM returns a text that holds PEM. What is inside is for the host, who has the cryptography.
func parsePEM(found *faults.List, path string, value sdk.Value) string {
	text := found.Text(path, value)
	if block, _ := pem.Decode([]byte(text)); block == nil && strings.TrimSpace(text) != "" {
		found.Add(path, "must be PEM, -----BEGIN …")
	}
	return text
}
