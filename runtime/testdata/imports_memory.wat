;; Imports its memory, as evaluators do, and is called by several of its exports: put writes a number, eval adds to it.
(module
  (import "env" "memory" (memory 2))
  (func (export "put") (param $at i32) (param $number i32)
    (i32.store (local.get $at) (local.get $number)))
  (func (export "eval") (param $at i32) (result i32)
    (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
    (i32.load (local.get $at))))
