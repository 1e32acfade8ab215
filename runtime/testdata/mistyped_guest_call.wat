;; Exports a __guest_call that takes one parameter instead of two.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (func (export "__guest_call") (param i32) (result i32) (i32.const 0)))
