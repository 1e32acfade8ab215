;; Exports no memory, and answers from it.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (func (export "__guest_call") (param i32 i32) (result i32)
    (call $respond (i32.const 0) (i32.const 0))
    (i32.const 1)))
