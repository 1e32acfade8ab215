package wasm

import "fmt"

// ValueType is the type of a global, by the byte it begins with in the binary format.
type ValueType byte

// The value types. NullableRef is a reference to a function type of the module's own, NonNullRef
// one to that or to another heap type. The three that can be written in two ways are known by the
// short one.
const (
	I32         ValueType = 0x7f
	I64         ValueType = 0x7e
	F32         ValueType = 0x7d
	F64         ValueType = 0x7c
	V128        ValueType = 0x7b
	FuncRef     ValueType = 0x70
	ExternRef   ValueType = 0x6f
	ExnRef      ValueType = 0x69
	NonNullRef  ValueType = 0x64
	NullableRef ValueType = 0x63
)

func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case ExnRef:
		return "exnref"
	case NonNullRef:
		return "(ref …)"
	case NullableRef:
		return "(ref null …)"
	}
	return fmt.Sprintf("value type %#x", byte(t))
}

// number tells whether a value of this type is a number of at most 64 bits: what a host can read
// and write back.
func (t ValueType) number() bool { return t >= F64 && t <= I32 }

// valueType passes over a value or reference type.
func (r *reader) valueType() ValueType {
	t := ValueType(r.byte())
	switch t {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef, ExnRef:
	case NonNullRef:
		r.heapType()
	case NullableRef:
		if abstract := r.heapType(); abstract != 0 {
			return abstract
		}
	case 0x6e, 0x6d, 0x6c, 0x6b, 0x6a, 0x71, 0x72, 0x73, 0x74:
		r.fail("value type %#x: garbage-collected references are not supported", byte(t))
	default:
		r.fail("unknown value type %#x", byte(t))
	}
	return t
}

// heapType passes over the index of a type, or an abstract type, of which it returns the nullable
// reference.
func (r *reader) heapType() ValueType {
	start := r.pos
	t := r.signed(33)
	if r.err != nil {
		return 0
	}
	if t >= 0 {
		r.checkIndex("type", uint32(t), func(s *spaces) int { return s.types })
		return 0
	}
	abstract := ValueType(t & 0x7f)
	switch {
	case r.pos-start > 1:
		// Decoders differ on a padded negative number: some take one byte for it.
		r.fail("heap type %d is padded", t)
	case abstract != FuncRef && abstract != ExternRef && abstract != ExnRef:
		r.fail("heap type %#x: garbage-collected references are not supported", byte(abstract))
	}
	return abstract
}

// globalType passes over the type of a global and returns what it holds and whether that may
// change.
func (r *reader) globalType() (t ValueType, mutable bool) {
	t = r.valueType()
	switch flag := r.byte(); flag {
	case 0:
	case 1:
		mutable = true
	default:
		r.fail("unknown global flag %#x", flag)
	}
	return t, mutable
}

// tagType passes over the type of a tag.
func (r *reader) tagType() {
	r.byte()
	r.typeIndex()
}

// functionType is what the rewriter asks of a function's type.
type functionType struct {
	params  uint32
	results []ValueType
	alone   bool // not in a recursive group, where equal types differ
}

// typeGroup passes over a function type, or a recursive group of them.
func (r *reader) typeGroup() []functionType {
	const recursiveGroup = 0x4e
	form := r.byte()
	if form != recursiveGroup {
		t := r.functionType(form)
		t.alone = true
		return []functionType{t}
	}
	var group []functionType
	r.vector(func() { group = append(group, r.functionType(r.byte())) })
	return group
}

func (r *reader) functionType(form byte) functionType {
	const function = 0x60
	switch form {
	case function:
	case 0x5e, 0x5f, 0x50, 0x4f: // array, struct, sub, sub final
		r.fail("type form %#x: garbage-collected types are not supported", form)
	default:
		r.fail("unknown type form %#x", form)
	}
	var t functionType
	r.vector(func() { r.valueType(); t.params++ })
	r.vector(func() { t.results = append(t.results, r.valueType()) })
	return t
}
