;; Recurses 200,000 levels deep, then accepts.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (func $depth (param $levels i32) (result i32)
    (if (result i32) (local.get $levels)
      (then (i32.add (i32.const 1) (call $depth (i32.sub (local.get $levels) (i32.const 1)))))
      (else (i32.const 0))))
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (if (i32.ne (call $depth (i32.const 200000)) (i32.const 200000)) (then (unreachable)))
    (call $respond (i32.const 32) (i32.const 17))
    (i32.const 1)))
