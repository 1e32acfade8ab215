;; Grows its memory to the maximum it declares and asks for more in several ways. It puts the sizes before and after into
;; its answer, one digit each, and for each way whether it was given anything.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 1 3)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (data (i32.const 64) "{\"accepted\":true,\"message\":\"0 then 0, more: 0000\"}")
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (i32.store8 (i32.const 92) (i32.add (i32.const 48) (memory.size)))
    (drop (memory.grow (i32.const 2)))
    (i32.store8 (i32.const 99) (i32.add (i32.const 48) (memory.size)))
    (i32.store8 (i32.const 108) (i32.add (i32.const 48) (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i32.store8 (i32.const 109) (i32.add (i32.const 48) (i32.ne (memory.grow (i32.const 2)) (i32.const -1))))
    (i32.store8 (i32.const 110) (i32.add (i32.const 48) (i32.ne (memory.grow (i32.const -1)) (i32.const -1))))
    (i32.store8 (i32.const 111) (i32.add (i32.const 48) (i32.ne (memory.grow (i32.const 0)) (memory.size))))
    (call $respond (i32.const 64) (i32.const 50))
    (i32.const 1)))
