package wasm

import (
	"fmt"
	"unicode/utf8"
)

// FormatError reports bytes that are not a module this package understands.
type FormatError struct {
	Section string // the section's name in the specification, empty outside of any
	Offset  int    // bytes from the start of the file to where reading failed
	Err     error  // what is wrong there
}

func (e *FormatError) Error() string {
	where := "module"
	if e.Section != "" {
		where = e.Section + " section"
	}
	return fmt.Sprintf("%s at offset %#x: %v", where, e.Offset, e.Err)
}

// Unwrap returns what is wrong, such as [ErrCompactImports].
func (e *FormatError) Unwrap() error { return e.Err }

// reader walks over a part of a module. The first failure sticks: every later read returns a zero
// value and leaves err alone, so that a sequence of reads needs one check at its end.
type reader struct {
	b       []byte
	pos     int
	base    int // offset of b[0] in the file
	section string
	err     *FormatError

	within *spaces // when set, indexes, types and limits are held to it
	edits  []edit  // when within is set, where b names a function
}

func (r *reader) fail(format string, args ...any) {
	r.failWith(fmt.Errorf(format, args...))
}

func (r *reader) failWith(err error) {
	if r.err == nil {
		r.err = &FormatError{Section: r.section, Offset: r.base + r.pos, Err: err}
	}
	r.pos = len(r.b)
}

// finish returns the first failure, or one of its own when bytes are left over.
func (r *reader) finish() error {
	if r.err == nil && r.pos < len(r.b) {
		r.fail("%d bytes are left after its last item", len(r.b)-r.pos)
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

func (r *reader) more() bool { return r.err == nil && r.pos < len(r.b) }

func (r *reader) byte() byte {
	if r.pos >= len(r.b) {
		r.fail("ends too early")
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

// bytes returns the next n bytes as they lie in the file, not a copy.
func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail("needs %d bytes where %d are left", n, len(r.b)-r.pos)
		return nil
	}
	start := r.pos
	r.pos += int(n)
	return r.b[start:r.pos:r.pos]
}

func (r *reader) u32() uint32 { return uint32(r.leb(32)) }

// leb reads an unsigned LEB128 number of at most the given width.
func (r *reader) leb(width int) uint64 {
	var n uint64
	for shift := 0; shift < width; shift += 7 {
		c := r.byte()
		if left := width - shift; left < 7 && c>>left != 0 {
			r.fail("number exceeds %d bits", width)
			return 0
		}
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	r.fail("number exceeds %d bits", width)
	return 0
}

// signed reads a signed LEB128 number of at most the given width.
func (r *reader) signed(width int) int64 {
	var n int64
	for shift := 0; shift < width; shift += 7 {
		c := r.byte()
		n |= int64(c&0x7f) << shift
		if c >= 0x80 {
			continue
		}
		if shift+7 < 64 {
			n = n << (57 - shift) >> (57 - shift) // the sign is bit 6 of the last byte
		}
		if width < 64 && n>>(width-1) != 0 && n>>(width-1) != -1 || width == 64 && shift == 63 && c != 0 && c != 0x7f {
			r.fail("number exceeds %d bits", width)
			return 0
		}
		return n
	}
	r.fail("number exceeds %d bits", width)
	return 0
}

// count reads the length of a vector. Every item takes at least one byte, so a count beyond the
// bytes left is a lie, and must not reach an allocation here or in the compiler.
func (r *reader) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail("counts %d items where %d bytes are left", n, len(r.b)-r.pos)
		return 0
	}
	return n
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.fail("name %q is not UTF-8", b)
		return ""
	}
	return string(b)
}
