package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"policy-server/jsontext"
)

// TooLargeError reports documents that are too large to be compared.
type TooLargeError struct{ Parts int } // members and elements that may be looked at together

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the object is too large to be compared: it has more than %d members and elements beside each other", e.Parts)
}

// Turn is whose turn it is to use a processor (package turns). What takes long calls Tick every so
// often, which may wait; its error, that of ctx, ends it.
type Turn interface {
	Tick(ctx context.Context) error
}

// Diff returns the RFC 6902 patch that turns before into after, nil when they are the same
// document. It uses add, remove and replace only:
//
//   - objects: the members of after in sorted order, added or compared, then those only before has,
//     removed in sorted order;
//   - arrays: compared index by index; surplus new elements are added at their index, surplus old
//     ones are all removed at the index of the first;
//   - anything else that differs is replaced. 1 and 1.0 differ, 1.0 and 1.00 do not;
//   - an object or array whose changes, one by one, would take much more than all of it is
//     replaced.
//
// Values in the patch are those of after, as they were written. The patch is at most some four
// times as long as after, and time and memory grow with both documents and not with their product.
// Errors: *SyntaxError, *TooLargeError, that of ctx when it ends first. turn may be nil.
func Diff(ctx context.Context, before, after []byte, turn Turn) ([]byte, error) {
	d := differ{patch: []byte{'['}, limit: math.MaxInt, ctx: ctx, turn: turn}
	if err := d.documents(before, after); err != nil {
		return nil, err
	}
	if len(d.patch) == 1 {
		return nil, nil
	}
	return append(d.patch, ']'), nil
}

// Differ tells whether [Diff] of the two would be a patch, and stops at the first difference.
func Differ(ctx context.Context, before, after []byte, turn Turn) (bool, error) {
	d := differ{limit: math.MaxInt, whether: true, ctx: ctx, turn: turn}
	err := d.documents(before, after)
	if errors.Is(err, errDiffer) {
		return true, nil
	}
	return false, err
}

// documents compares two documents.
func (d *differ) documents(before, after []byte) error {
	for _, document := range [][]byte{before, after} {
		s := jsontext.NewScanner(document)
		if _, err := s.Value(); err != nil {
			return err
		}
		if err := s.End(); err != nil {
			return err
		}
	}
	return d.compare(bytes.TrimSpace(before), bytes.TrimSpace(after))
}

// maxParts is how many members and elements may be looked at together: those of the two values that
// are compared and of all around them. An object of the API server's largest size has a tenth of
// it. They take some 25 MB.
const maxParts = 1 << 19

// differ writes a patch while it walks two documents; pointer is the RFC 6901 path to where it is.
type differ struct {
	patch   []byte
	pointer []byte
	limit   int  // bytes the patch may take before it is dearer than what it replaces
	whether bool // only whether there is a difference is asked for
	parts   int  // members and elements of the values around, and of those compared
	steps   int
	ctx     context.Context
	turn    Turn // may be nil
}

var (
	// errDearer ends a comparison whose changes are dearer than the whole.
	errDearer = errors.New("changes are longer than what they change")
	// errDiffer ends one at the first difference.
	errDiffer = errors.New("the documents differ")
)

// compare writes what turns the value old into new, neither with white space around it. Both have
// been scanned.
func (d *differ) compare(old, new []byte) error {
	if err := d.step(); err != nil {
		return err
	}
	switch {
	case bytes.Equal(old, new):
		return nil
	case old[0] == '{' && new[0] == '{':
		return d.orWhole(new, func() error { return d.objects(old, new) })
	case old[0] == '[' && new[0] == '[':
		return d.orWhole(new, func() error { return d.arrays(old, new) })
	case !sameScalar(old, new):
		return d.operation("replace", new)
	}
	return nil
}

// tickEvery is how many comparisons lie between two ticks: some tens of microseconds.
const tickEvery = 256

func (d *differ) step() error {
	if d.steps++; d.steps%tickEvery != 0 {
		return nil
	}
	// With all processors busy a context may be late in noticing its own end.
	if deadline, ok := d.ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	if err := d.ctx.Err(); err != nil || d.turn == nil {
		return err
	}
	return d.turn.Tick(d.ctx)
}

// orWhole has changes written, unless they are dearer than to replace all of new. That they may be
// four times as long, and a kilobyte, keeps patches readable: they tell what was changed.
func (d *differ) orWhole(new []byte, changes func() error) error {
	start, outer := len(d.patch), d.limit
	whole := start + len(new) + len(d.pointer) + len(`,{"op":"replace","path":"","value":}`)
	d.limit = min(outer, start+4*(whole-start)+1<<10)
	err := changes()
	d.limit = outer
	if errors.Is(err, errDearer) && whole <= outer {
		d.patch = d.patch[:start]
		return d.operation("replace", new)
	}
	return err
}

// member is a member of an object, its value without white space around it.
type member struct {
	name  string
	value []byte
}

// members returns those of an object sorted by name, the last one of each name.
func (d *differ) members(object []byte) (all []member, err error) {
	s := jsontext.NewScanner(object)
	err = s.Object(func(name []byte) error {
		m := member{name: string(name)}
		if m.value, err = s.Value(); err != nil {
			return err
		}
		all = append(all, m)
		return d.take()
	})
	slices.SortStableFunc(all, func(a, b member) int { return strings.Compare(a.name, b.name) })
	last := all[:0]
	for i, m := range all {
		if i+1 == len(all) || all[i+1].name != m.name {
			last = append(last, m)
		}
	}
	return last, err
}

func (d *differ) elements(array []byte) (all [][]byte, err error) {
	s := jsontext.NewScanner(array)
	err = s.Array(func(int) error {
		value, err := s.Value()
		if err != nil {
			return err
		}
		all = append(all, value)
		return d.take()
	})
	return all, err
}

// both returns what read makes of old and of new.
func both[T any](read func([]byte) (T, error), old, new []byte) (before, after T, err error) {
	if before, err = read(old); err == nil {
		after, err = read(new)
	}
	return before, after, err
}

// take counts a member or element.
func (d *differ) take() error {
	if d.parts++; d.parts > maxParts {
		return &TooLargeError{maxParts}
	}
	return d.step()
}

func (d *differ) objects(old, new []byte) error {
	defer func(parts int) { d.parts = parts }(d.parts)
	before, after, err := both(d.members, old, new)
	if err != nil {
		return err
	}
	byName := func(m member, name string) int { return strings.Compare(m.name, name) }
	for _, m := range after {
		err := d.at(m.name, func() error {
			if i, found := slices.BinarySearchFunc(before, m.name, byName); found {
				return d.compare(before[i].value, m.value)
			}
			return d.operation("add", m.value)
		})
		if err != nil {
			return err
		}
	}
	for _, m := range before {
		if _, found := slices.BinarySearchFunc(after, m.name, byName); !found {
			if err := d.at(m.name, func() error { return d.operation("remove", nil) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *differ) arrays(old, new []byte) error {
	defer func(parts int) { d.parts = parts }(d.parts)
	before, after, err := both(d.elements, old, new)
	if err != nil {
		return err
	}
	for i, value := range after {
		err := d.at(strconv.Itoa(i), func() error {
			if i < len(before) {
				return d.compare(before[i], value)
			}
			return d.operation("add", value)
		})
		if err != nil {
			return err
		}
	}
	for range max(len(before)-len(after), 0) {
		if err := d.at(strconv.Itoa(len(after)), func() error { return d.operation("remove", nil) }); err != nil {
			return err
		}
	}
	return nil
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// at runs walk one step further down the document.
func (d *differ) at(step string, walk func() error) error {
	length := len(d.pointer)
	d.pointer = append(append(d.pointer, '/'), pointerEscapes.Replace(step)...)
	err := walk()
	d.pointer = d.pointer[:length]
	return err
}

func (d *differ) operation(op string, value []byte) error {
	if d.whether {
		return errDiffer
	}
	if len(d.patch)+len(d.pointer)+len(value) > d.limit {
		return errDearer
	}
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
	return d.step()
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
