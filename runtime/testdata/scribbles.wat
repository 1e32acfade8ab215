;; Answers with a hash of its memory and a global and then writes to both at random; the request says how often, how far to grow before, and whether to lay out a pattern instead.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (global $state (mut i64) (i64.const 42))
  ;; The request is three numbers of four bytes at 64, the answer one of eight bytes at 80; from 96 on all is hashed.
  (func $mix (param $a i64) (param $b i64) (result i64)
    (i64.rotl
      (i64.mul (i64.xor (local.get $a) (local.get $b)) (i64.const 0x9e3779b97f4a7c15))
      (i64.const 29)))
  (func $end (result i32) (i32.mul (memory.size) (i32.const 65536)))
  ;; 0: grows to as many pages as the second number says and writes a pattern.
  (func $lay_out (local $at i32)
    (drop (memory.grow (i32.sub (i32.load (i32.const 68)) (memory.size))))
    (local.set $at (i32.const 96))
    (loop $next
      (i64.store (local.get $at) (call $mix (i64.extend_i32_u (local.get $at)) (i64.const 1)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (call $end)))))
  ;; 1: grows by the third number and hashes.
  (func $hash (result i64) (local $at i32) (local $hash i64)
    (drop (memory.grow (i32.load (i32.const 72))))
    (local.set $hash (call $mix (global.get $state) (i64.extend_i32_u (memory.size))))
    (local.set $at (i32.const 96))
    (loop $next
      (local.set $hash (call $mix (local.get $hash) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (call $end))))
    (local.get $hash))
  ;; 1 and 2: writes as often as the second number says.
  (func $scribble (local $n i32)
    (local.set $n (i32.load (i32.const 68)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (global.set $state (call $mix (global.get $state) (i64.extend_i32_u (local.get $n))))
        (i64.store
          (i32.add
            (i32.const 96)
            (i32.rem_u (i32.wrap_i64 (global.get $state)) (i32.sub (call $end) (i32.const 104))))
          (global.get $state))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next))))
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (call $request (i32.const 48) (i32.const 64))
    (i64.store (i32.const 80) (i64.const 0))
    (if (i32.eq (i32.load (i32.const 64)) (i32.const 0)) (then (call $lay_out)))
    (if (i32.eq (i32.load (i32.const 64)) (i32.const 1)) (then (i64.store (i32.const 80) (call $hash))))
    (if (i32.le_u (i32.sub (i32.load (i32.const 64)) (i32.const 1)) (i32.const 1)) (then (call $scribble)))
    (call $respond (i32.const 80) (i32.const 8))
    (i32.const 1)))
