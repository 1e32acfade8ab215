;; Asks its host a thousand times for capability echo, operation say, and accepts.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (data (i32.const 128) "kubewarden")
  (data (i32.const 144) "echo")
  (data (i32.const 160) "say")
  (data (i32.const 208) "\"hello\"")
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (local $left i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (local.set $left (i32.const 1000))
    (loop $again
      (if (i32.eqz (call $host_call
          (i32.const 128) (i32.const 10) ;; binding
          (i32.const 144) (i32.const 4) ;; namespace
          (i32.const 160) (i32.const 3) ;; operation
          (i32.const 208) (i32.const 7))) ;; payload
        (then (unreachable)))
      (call $host_response (i32.const 1024))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $again (local.get $left)))
    (call $respond (i32.const 32) (i32.const 17))
    (i32.const 1)))
