package main

import (
	"cmp"
	"iter"
	"strings"

	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

// A format is a kind of software bill of materials, in JSON.
type format struct {
	name          string
	predicateType string // cosign's
	packages      func(document sdk.Value) (iter.Seq[pkg], bool)
}

func formats() []format {
	return []format{
		{"spdx", "https://spdx.dev/Document", spdxPackages},
		{"cyclonedx", "https://cyclonedx.org/bom", cycloneDXPackages},
	}
}

// A pkg is what a bill says of one package.
type pkg struct{ group, name, version string }

// A ban is a package that must not be in an image.
type ban struct {
	name     string
	versions []comparison // all of which make a version a banned one; none: every version is
}

// parseSBOM reads {"format": "spdx", "forbidden": [{"name": …, "versions": "<2.17.1"}, …],
// "predicateType": …}.
func parseSBOM(found *faults.List, path string, value sdk.Value) claim {
	found.Object(path, value, "format", "forbidden", "predicateType")
	asked := found.OneOf(faults.Member(path, "format"), value.Get("format"), "spdx", "cyclonedx")
	forbidden := faults.Member(path, "forbidden")
	var bans []ban
	for i, element := range found.Elements(forbidden, value.Get("forbidden"), "objects") {
		bans = append(bans, parseBan(found, faults.Element(forbidden, i), element))
	}
	if len(bans) == 0 {
		found.Add(forbidden, "must name at least one package")
	}
	of := formats()[0]
	for _, f := range formats() {
		if f.name == asked {
			of = f
		}
	}
	given := found.Optional(faults.Member(path, "predicateType"), value.Get("predicateType"))
	return claim{
		predicateType: cmp.Or(given, of.predicateType),
		judge:         func(documents []sdk.Value) []string { return judgePackages(of, bans, documents) },
	}
}

func parseBan(found *faults.List, path string, value sdk.Value) ban {
	if !found.Object(path, value, "name", "versions") {
		return ban{}
	}
	b := ban{name: found.Text(faults.Member(path, "name"), value.Get("name"))}
	at := faults.Member(path, "versions")
	var ok bool
	if b.versions, ok = parseComparisons(found.Optional(at, value.Get("versions"))); !ok {
		found.Add(at, `must be comparisons, such as ">=2.0 <2.17.1"; known: =, <, <=, >, >=`)
	}
	return b
}

// judgePackages holds every bill against the bans.
func judgePackages(of format, bans []ban, documents []sdk.Value) (wrong []string) {
	var banned []string
	for _, document := range documents {
		packages, ok := of.packages(document)
		if !ok {
			wrong = append(wrong, "its bill of materials is not "+of.name+" in JSON")
			continue
		}
		for p := range packages {
			for _, b := range bans {
				if b.means(p) {
					banned = append(banned, strings.TrimSuffix(p.name+" "+p.version, " "))
				}
			}
		}
	}
	if len(banned) > 0 {
		wrong = append(wrong, "it holds forbidden packages: "+listed(banned))
	}
	return wrong
}

// means reports whether a package is a banned one. Ecosystems spell one package in several ways;
// with or without the group in front of it is the same. A package of unknown version may have any.
func (b ban) means(p pkg) bool {
	if p.name != b.name && p.group+":"+p.name != b.name && p.group+"/"+p.name != b.name &&
		p.name[strings.LastIndexAny(p.name, ":/")+1:] != b.name {
		return false
	}
	for _, c := range b.versions {
		if p.version != "" && !c.holds(p.version) {
			return false
		}
	}
	return true
}

// spdxPackages reads an SPDX document (2.2 and 2.3, https://spdx.github.io/spdx-spec/v2.3/):
//
//	{"spdxVersion": "SPDX-2.3", "packages": [{"name", "versionInfo"}, …]}
func spdxPackages(document sdk.Value) (iter.Seq[pkg], bool) {
	of := members(document, "spdxVersion", "packages")
	version, _ := of[0].Text()
	return func(yield func(pkg) bool) {
		for p := range of[1].Each() {
			found := members(p, "name", "versionInfo")
			if !yield(pkg{name: text(found[0]), version: text(found[1])}) {
				return
			}
		}
	}, strings.HasPrefix(version, "SPDX-2.") && isList(of[1])
}

// cycloneDXPackages reads a CycloneDX document (https://cyclonedx.org/docs/1.6/json/), components
// inside of components included:
//
//	{"bomFormat": "CycloneDX", "components": [{"group", "name", "version", "components": […]}, …]}
func cycloneDXPackages(document sdk.Value) (iter.Seq[pkg], bool) {
	of := members(document, "bomFormat", "components")
	return func(yield func(pkg) bool) { components(of[1], yield) }, of[0].Is("CycloneDX") && isList(of[1])
}

// components yields those of a list and what is inside of them, as deep as it goes, and reports
// whether more is wanted.
func components(list sdk.Value, yield func(pkg) bool) bool {
	for c := range list.Each() {
		found := members(c, "group", "name", "version", "components")
		if !yield(pkg{text(found[0]), text(found[1]), text(found[2])}) || !components(found[3], yield) {
			return false
		}
	}
	return true
}

// isList reports whether a list is one, or left out because nothing is in it.
func isList(list sdk.Value) bool { return !list.Exists() || list.IsNull() || list.Kind() == sdk.Array }
