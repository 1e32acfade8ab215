package main

import (
	"slices"
	"strconv"
	"strings"

	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

// A signature is one entry of the settings: which images must be signed, and by whom.
type signature struct {
	image       string // pattern
	annotations map[string]string
	by          signer
}

// A kind is one way to say by whom: the member that does, the members that belong to it, and its
// reader.
type kind struct {
	name    string
	members []string
	parse   func(e *entry, path string, value sdk.Value) signer
}

func kinds() []kind {
	return []kind{
		{"pubKeys", nil, parsePubKeys},
		{"keyless", nil, parseKeyless},
		{"githubActions", nil, parseGithubActions},
		{"keylessPrefix", nil, parseKeylessPrefix},
		{"certificates", []string{"certificateChain", "requireRekorBundle"}, parseCertificates},
	}
}

// entry is an entry of the settings while it is read.
type entry struct {
	path  string
	value sdk.Value
	found *faults.List
}

// parse reads the entry. Two kinds in one are refused: their author thinks that both count.
func (e *entry) parse() signature {
	if e.value.Kind() != sdk.Object {
		e.found.Object(e.path, e.value)
		return signature{}
	}
	var names []string
	var given []kind
	for _, k := range kinds() {
		names = append(names, k.name)
		if value := e.value.Get(k.name); value.Exists() && !value.IsNull() {
			given = append(given, k)
		}
	}
	if len(given) != 1 {
		e.found.Add(e.path, "has ", strconv.Itoa(len(given)), " kinds of signature, must have one; known: ", strings.Join(names, ", "))
		return signature{}
	}
	e.found.Object(e.path, e.value, slices.Concat([]string{"image", "annotations"}, names, given[0].members)...)
	s := signature{
		annotations: e.found.TextMap(e.at("annotations"), e.value.Get("annotations")),
		by:          given[0].parse(e, e.at(given[0].name), e.value.Get(given[0].name)),
	}
	if image := e.value.Get("image"); image.Exists() && !image.Is("") { // without one, see fault
		s.image = e.found.Text(e.at("image"), image)
	}
	return s
}

func (e *entry) at(name string) string { return faults.Member(e.path, name) }

func parsePubKeys(e *entry, path string, value sdk.Value) signer {
	keys := e.found.Texts(path, value)
	e.notEmpty(path, value)
	return pubKeys{keys}
}

func parseKeyless(e *entry, path string, value sdk.Value) signer {
	var all keyless
	for _, id := range e.identities(path, value, "subject") {
		all = append(all, sdk.KeylessInfo{Issuer: id[0], Subject: id[1]})
	}
	return all
}

// parseKeylessPrefix takes both spellings of the prefix: one is in the reference policy's code, one
// in its README.
func parseKeylessPrefix(e *entry, path string, value sdk.Value) signer {
	var all keylessPrefix
	for _, id := range e.identities(path, value, "url_prefix", "urlPrefix") {
		all = append(all, sdk.KeylessPrefixInfo{Issuer: id[0], URLPrefix: id[1]})
	}
	return all
}

// identities reads a list of issuers with what their subject must be, under one of some names.
func (e *entry) identities(path string, value sdk.Value, names ...string) (read [][2]string) {
	for i, element := range e.found.Elements(path, value, "objects") {
		at := faults.Element(path, i)
		if !e.found.Object(at, element, append([]string{"issuer"}, names...)...) {
			continue
		}
		name := names[0]
		if last := names[len(names)-1]; element.Get(last).Exists() {
			name = last
		}
		read = append(read, [2]string{
			e.found.Text(faults.Member(at, "issuer"), element.Get("issuer")),
			e.found.Text(faults.Member(at, name), element.Get(name)),
		})
	}
	e.notEmpty(path, value)
	return read
}

func parseGithubActions(e *entry, path string, value sdk.Value) signer {
	if !e.found.Object(path, value, "owner", "repo") {
		return githubActions{}
	}
	return githubActions{
		owner: e.found.Text(faults.Member(path, "owner"), value.Get("owner")),
		repo:  e.found.Optional(faults.Member(path, "repo"), value.Get("repo")),
	}
}

func parseCertificates(e *entry, path string, value sdk.Value) signer {
	logged, chain := e.value.Get("requireRekorBundle"), e.value.Get("certificateChain")
	if logged.Kind() != sdk.Bool {
		e.found.Add(e.at("requireRekorBundle"), "must be true or false, not ", logged.Kind().String())
	}
	e.notEmpty(e.at("certificateChain"), chain) // an empty chain trusts nobody, and none at all trusts the certificate
	return certificates{
		leaves:             e.found.Texts(path, value),
		chain:              e.found.Texts(e.at("certificateChain"), chain),
		requireRekorBundle: logged.IsTrue(),
	}
}

func (e *entry) notEmpty(path string, list sdk.Value) {
	if list.Kind() == sdk.Array && list.Len() == 0 {
		e.found.Add(path, "must not be empty")
	}
}
