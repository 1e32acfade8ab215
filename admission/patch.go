package admission

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"policy-server/jsontext"
)

// Diff returns the RFC 6902 patch that turns before into after, nil when they are the same
// document. It uses add, remove and replace only:
//
//   - objects: the members of after in sorted order, added or compared, then those only before has,
//     removed in sorted order;
//   - arrays: compared index by index; surplus new elements are added at their index, surplus old
//     ones are all removed at the index of the first;
//   - anything else that differs is replaced. 1 and 1.0 differ, 1.0 and 1.00 do not.
//
// Values in the patch are those of after, as they were written. Errors: *SyntaxError.
func Diff(before, after []byte) ([]byte, error) {
	old, err := parseTree(before)
	if err != nil {
		return nil, err
	}
	new, err := parseTree(after)
	if err != nil {
		return nil, err
	}
	d := differ{patch: []byte{'['}}
	d.compare(old, new)
	if len(d.patch) == 1 {
		return nil, nil
	}
	return append(d.patch, ']'), nil
}

// tree is a JSON value with its children; raw is how it was written.
type tree struct {
	raw      []byte
	members  map[string]*tree // objects: the last one of a name wins
	elements []*tree          // arrays
}

func parseTree(data []byte) (*tree, error) {
	s := jsontext.NewScanner(data)
	t, err := scanTree(s)
	if err != nil {
		return nil, err
	}
	return t, s.End()
}

func scanTree(s *jsontext.Scanner) (t *tree, err error) {
	t = new(tree)
	t.raw, err = s.Raw(func() error {
		switch s.Peek() {
		case '{':
			t.members = map[string]*tree{}
			return s.Object(func(name []byte) error {
				child, err := scanTree(s)
				t.members[string(name)] = child
				return err
			})
		case '[':
			return s.Array(func(int) error {
				child, err := scanTree(s)
				t.elements = append(t.elements, child)
				return err
			})
		}
		_, err := s.Value()
		return err
	})
	return t, err
}

// differ writes a patch while it walks two trees; pointer is the RFC 6901 path to where it is.
type differ struct {
	patch   []byte
	pointer []byte
}

func (d *differ) compare(old, new *tree) {
	switch {
	case old.raw[0] == '{' && new.raw[0] == '{':
		d.objects(old.members, new.members)
	case old.raw[0] == '[' && new.raw[0] == '[':
		d.arrays(old.elements, new.elements)
	case !sameScalar(old.raw, new.raw):
		d.operation("replace", new.raw)
	}
}

func (d *differ) objects(old, new map[string]*tree) {
	for _, name := range slices.Sorted(maps.Keys(new)) {
		d.at(name, func() {
			if was, ok := old[name]; ok {
				d.compare(was, new[name])
			} else {
				d.operation("add", new[name].raw)
			}
		})
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, ok := new[name]; !ok {
			d.at(name, func() { d.operation("remove", nil) })
		}
	}
}

func (d *differ) arrays(old, new []*tree) {
	for i := range new {
		d.at(strconv.Itoa(i), func() {
			if i < len(old) {
				d.compare(old[i], new[i])
			} else {
				d.operation("add", new[i].raw)
			}
		})
	}
	for range max(len(old)-len(new), 0) {
		d.at(strconv.Itoa(len(new)), func() { d.operation("remove", nil) })
	}
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// at runs walk one step further down the document.
func (d *differ) at(step string, walk func()) {
	length := len(d.pointer)
	d.pointer = append(append(d.pointer, '/'), pointerEscapes.Replace(step)...)
	walk()
	d.pointer = d.pointer[:length]
}

func (d *differ) operation(op string, value []byte) {
	if len(d.patch) > 1 {
		d.patch = append(d.patch, ',')
	}
	o := members{dst: append(d.patch, '{')}
	o.addString("op", op)
	o.addString("path", string(d.pointer))
	if value != nil {
		o.dst = appendCompact(o.name("value"), value)
	}
	d.patch = append(o.dst, '}')
}

// appendCompact appends a scanned document without its insignificant white space.
func appendCompact(dst, document []byte) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, document); err != nil {
		return append(dst, document...) // a scanner accepted it, so this cannot be reached
	}
	return append(dst, b.Bytes()...)
}

// sameScalar compares two values that are not both objects or both arrays.
func sameScalar(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	switch {
	case a[0] == '"' && b[0] == '"':
		return bytes.Equal(jsontext.Unescape(a[1:len(a)-1]), jsontext.Unescape(b[1:len(b)-1]))
	case isNumber(a) && isNumber(b):
		return sameNumber(string(a), string(b))
	}
	return false
}

func isNumber(raw []byte) bool { return raw[0] == '-' || jsontext.IsDigit(raw[0]) }

// sameNumber compares numbers as upstream's parser keeps them: whole numbers of 64 bits exactly,
// everything else, "-0" included, as a 64-bit float. A whole number never equals a float.
func sameNumber(a, b string) bool {
	wholeA, wholeB := isWhole(a), isWhole(b)
	if wholeA || wholeB {
		return wholeA && wholeB && a == b // whole numbers have one spelling
	}
	x, _ := strconv.ParseFloat(a, 64) // in range: the scanner saw to it
	y, _ := strconv.ParseFloat(b, 64)
	return x == y && math.Signbit(x) == math.Signbit(y)
}

func isWhole(number string) bool {
	if number == "-0" {
		return false
	}
	if _, err := strconv.ParseInt(number, 10, 64); err == nil {
		return true
	}
	_, err := strconv.ParseUint(number, 10, 64)
	return err == nil
}
