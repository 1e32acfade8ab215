package kubernetes

import (
	"slices"
	"strings"

	"policy-server/jsontext"
)

// mask says what of an object a policy needs: a tree of member names, whose leaves keep all that is
// below them. A nil mask keeps everything.
type mask map[string]mask

// parseMask makes one mask of paths such as "spec.containers.image"; nil of none. Where one path
// goes on from another one, the longer one counts. A name with a dot in it cannot be written.
func parseMask(paths []string) mask {
	var root mask
	for _, path := range paths {
		if root == nil {
			root = mask{}
		}
		node := root
		for name := range strings.SplitSeq(path, ".") {
			if node[name] == nil {
				node[name] = mask{}
			}
			node = node[name]
		}
	}
	return root
}

// appendPruned appends what m keeps of value, which is valid JSON. Arrays are transparent: m
// applies to each of their elements. Scalars stay.
func (m mask) appendPruned(to, value []byte) []byte {
	switch {
	case len(m) == 0 || len(value) == 0:
		return append(to, value...)
	case value[0] == '[':
		to = append(to, '[')
		for element := range jsontext.Elements(value) {
			to = m.appendPruned(separated(to, '['), element)
		}
		return append(to, ']')
	case value[0] == '{':
		to = append(to, '{')
		for name, member := range jsontext.Members(value) {
			if below, ok := m[name]; ok {
				to = below.appendPruned(appendName(separated(to, '{'), name), member)
			}
		}
		return append(to, '}')
	}
	return append(to, value...)
}

// separated appends a comma, unless the container that opened with bracket is still empty.
func separated(to []byte, bracket byte) []byte {
	if to[len(to)-1] == bracket {
		return to
	}
	return append(to, ',')
}

// canonical returns paths sorted and without repetitions, which mean nothing.
func canonical(paths []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(paths)))
}
