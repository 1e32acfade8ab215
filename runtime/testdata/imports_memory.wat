;; Asks its host for its memory, as Rego modules do, and works through exports of its own: alloc, sum and ask.
;; It speaks no guest protocol.
(module
  (import "env" "memory" (memory 2))
  (import "env" "answer" (func $answer (param i32 i32) (result i32)))
  (export "memory" (memory 0))
  (global $heap (mut i32) (i32.const 1024)) ;; where free memory begins
  ;; alloc returns $size bytes that nobody else uses.
  (func (export "alloc") (param $size i32) (result i32)
    (global.get $heap)
    (global.set $heap (i32.add (global.get $heap) (local.get $size))))
  ;; sum adds $size bytes.
  (func (export "sum") (param $from i32) (param $size i32) (result i32)
    (local $sum i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $size)))
        (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $from))))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
        (br $next)))
    (local.get $sum))
  ;; ask returns what its host answers to $size bytes.
  (func (export "ask") (param $from i32) (param $size i32) (result i32)
    (call $answer (local.get $from) (local.get $size))))
