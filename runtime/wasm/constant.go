package wasm

// constExpr passes over a constant expression and its end. What it makes is used as of type t, 0
// for a number.
func (r *reader) constExpr(t ValueType) {
	typed := t == NullableRef || t == NonNullRef
	for r.err == nil {
		switch op := r.byte(); op {
		case 0x0b: // end
			return
		case 0x41: // i32.const
			r.signed(32)
		case 0x42: // i64.const
			r.signed(64)
		case 0x43: // f32.const
			r.bytes(4)
		case 0x44: // f64.const
			r.bytes(8)
		case 0x23: // global.get
			// A compiler may take what an untyped global holds for a function of whatever type is
			// asked for.
			if i := r.globalIndex(); typed && r.within != nil && r.err == nil && r.within.globals[i].kind == FuncRef {
				r.fail("global %d of type funcref is used for a typed reference", i)
			}
		case 0xd2: // ref.func
			r.functionIndex()
		case 0xd0: // ref.null
			if r.heapType(); t == NonNullRef {
				r.fail("null is used for a reference that cannot be null")
			}
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // add, sub, mul of i32 and i64
		case 0xfd: // the vector prefix; only v128.const is constant
			if sub := r.subcode(); sub != 12 {
				r.fail("vector instruction %d is not constant", sub)
			}
			r.bytes(16)
		default:
			r.fail("instruction %#x is not constant", op)
		}
	}
}
