package main

import (
	"slices"
	"strings"
)

// findings is what is wrong with the images of one object.
type findings struct{ registries, tags, images, malformed set }

// set is a list without repetitions.
type set []string

func (s *set) add(text string) {
	if !slices.Contains(*s, text) {
		*s = append(*s, text)
	}
}

// message says what was found, each kind sorted; empty when nothing was.
func (f *findings) message() string {
	var parts []string
	for _, kind := range []struct {
		what  string
		found set
	}{{"registries", f.registries}, {"tags", f.tags}, {"images", f.images}, {"malformed images", f.malformed}} {
		if len(kind.found) > 0 {
			slices.Sort(kind.found)
			parts = append(parts, kind.what+" not allowed: "+strings.Join(kind.found, ", "))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "not allowed, reported errors: " + strings.Join(parts, "; ")
}
