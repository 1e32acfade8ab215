package main

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"policy-server/hostcalls"
)

// capabilitySet prints as kwctl prints sets: {"a", "b"}.
type capabilitySet []string

func (s capabilitySet) String() string {
	quoted := make([]string, len(s))
	for i, capability := range s {
		quoted[i] = strconv.Quote(capability)
	}
	return "{" + strings.Join(quoted, ", ") + "}"
}

// usedCapabilities guesses from the text in a module's data segments which host capabilities it
// uses, sorted: those whose namespace and operation both occur somewhere.
func usedCapabilities(segments [][]byte) []string {
	data := bytes.Join(segments, []byte{0xff}) // no byte of a name, so that none is found across segments
	var used []string
	for _, path := range hostcalls.Known() {
		namespace, operation, _ := strings.Cut(string(path), "/")
		if bytes.Contains(data, []byte(namespace)) && operationOccurs(data, operation) {
			used = append(used, string(path))
		}
	}
	return used
}

// operationOccurs reports whether operation occurs other than as the beginning of a longer
// operation's name.
func operationOccurs(data []byte, operation string) bool {
	var continuations [][]byte
	for _, path := range hostcalls.Known() {
		_, longer, _ := strings.Cut(string(path), "/")
		if rest, ok := strings.CutPrefix(longer, operation); ok && rest != "" {
			continuations = append(continuations, []byte(rest))
		}
	}
	for {
		i := bytes.Index(data, []byte(operation))
		if i < 0 {
			return false
		}
		data = data[i+len(operation):]
		if !slices.ContainsFunc(continuations, func(rest []byte) bool { return bytes.HasPrefix(data, rest) }) {
			return true
		}
	}
}

// warnAboutCapabilities compares what the metadata declares with what the module seems to use.
// Names are compared as they are written: a declared "oci/*" covers nothing here.
func warnAboutCapabilities(declared, used []string, log *zap.Logger) {
	if undeclared := without(used, declared); len(undeclared) > 0 {
		log.Warn("host capabilities used by the policy but not declared in metadata", zap.Reflect("capabilities", undeclared))
	}
	if unused := without(declared, used); len(unused) > 0 {
		log.Warn("host capabilities declared in metadata but not detected in the policy", zap.Reflect("capabilities", unused))
	}
}

// without returns the elements of set that are not in other.
func without(set, other []string) capabilitySet {
	var left capabilitySet
	for _, element := range set {
		if !slices.Contains(other, element) {
			left = append(left, element)
		}
	}
	return left
}
