;; An import that is called directly, in a tail call, through a table and through its export.
(module
  (type $read (func (param i32 i64) (result i32)))
  (import "env" "other" (func $other (result i32)))
  (import "env" "read" (func $read (type $read)))
  (table $t 1 funcref)
  (elem (i32.const 0) $read)
  (export "exported" (func $read))
  (func (export "direct") (result i32) (call $read (i32.const 3) (i64.const 4)))
  (func (export "tail") (result i32) (return_call $read (i32.const 3) (i64.const 4)))
  (func (export "indirect") (result i32) (call_indirect (type $read) (i32.const 3) (i64.const 4) (i32.const 0)))
  (func (export "other") (result i32) (call $other)))
