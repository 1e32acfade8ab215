package main

import (
	"slices"
	"strconv"

	"policy-server/policies-examples/faults"
	"policy-server/policies-examples/imageref"
	"policy-server/sdk"
)

// rules are the settings, ready to be applied. Of each pair of lists one at most has elements.
type rules struct {
	allowedRegistries, rejectedRegistries []string
	rejectedTags                          []string
	allowedImages, rejectedImages         []imageref.Ref // without the default tag
}

// parseRules reads the settings and reports everything that is wrong with them in one error.
func parseRules(settings sdk.Value) (*rules, error) {
	parsed, found := &rules{}, faults.List{}
	found.Object("", settings, "registries", "tags", "images")
	allowed, rejected := parseLists(&found, "registries", settings.Get("registries"), "allow", "reject")
	parsed.allowedRegistries = parseRegistries(&found, "registries.allow", allowed)
	parsed.rejectedRegistries = parseRegistries(&found, "registries.reject", rejected)
	_, parsed.rejectedTags = parseLists(&found, "tags", settings.Get("tags"), "reject")
	allowed, rejected = parseLists(&found, "images", settings.Get("images"), "allow", "reject")
	parsed.allowedImages = parseImages(&found, "images.allow", allowed)
	parsed.rejectedImages = parseImages(&found, "images.reject", rejected)
	return parsed, found.Err()
}

// parseLists reads the lists of one filter. An empty one is as good as none, for forms write them.
func parseLists(found *faults.List, filter string, value sdk.Value, known ...string) (allowed, rejected []string) {
	if !value.Exists() || value.IsNull() || !found.Object(filter, value, known...) {
		return nil, nil
	}
	if slices.Contains(known, "allow") {
		allowed = found.Texts(faults.Member(filter, "allow"), value.Get("allow"))
	}
	rejected = found.Texts(faults.Member(filter, "reject"), value.Get("reject"))
	if len(allowed) > 0 && len(rejected) > 0 {
		found.Add(filter, "has both allow and reject; known: one of them")
	}
	return allowed, rejected
}

func parseRegistries(found *faults.List, path string, names []string) (registries []string) {
	for i, name := range names {
		if name != "" && !imageref.IsRegistry(name) {
			found.Add(faults.Element(path, i), strconv.Quote(name), " is no registry; write a host, such as docker.io or registry.example:5000")
		}
		registries = append(registries, imageref.Registry(name))
	}
	return registries
}

func parseImages(found *faults.List, path string, texts []string) (images []imageref.Ref) {
	for i, text := range texts {
		ref, err := imageref.Split(text)
		if err != nil && text != "" {
			found.Add(faults.Element(path, i), strconv.Quote(text), " is no image: ", err.Error())
		}
		images = append(images, ref)
	}
	return images
}

// judge adds to found what the rules have against an image, which is written as text and read as
// ref.
func (r *rules) judge(text string, ref imageref.Ref, found *findings) {
	if slices.Contains(r.rejectedRegistries, ref.Registry) ||
		len(r.allowedRegistries) > 0 && !slices.Contains(r.allowedRegistries, ref.Registry) {
		found.registries.add(ref.Registry)
	}
	if slices.Contains(r.rejectedTags, ref.Tag) {
		found.tags.add(ref.Tag)
	}
	rejects := func(entry imageref.Ref) bool { return covers(entry, ref) }
	// With a digest, an image's tag is decoration: it must not be what lets the image pass.
	allows := func(entry imageref.Ref) bool {
		return covers(entry, ref) && (ref.Digest == "" || entry.Digest != "" || entry.Tag == "")
	}
	if slices.ContainsFunc(r.rejectedImages, rejects) ||
		len(r.allowedImages) > 0 && !slices.ContainsFunc(r.allowedImages, allows) {
		found.images.add(text)
	}
}

// covers reports whether an entry of a list means an image: what it leaves out is any, and its
// digest says it all.
func covers(entry, image imageref.Ref) bool {
	switch {
	case entry.Registry != image.Registry || entry.Repository != image.Repository:
		return false
	case entry.Digest != "":
		return entry.Digest == image.Digest
	}
	return entry.Tag == "" || entry.Tag == image.Tag
}
