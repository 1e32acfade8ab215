;; Sends 4 MiB and one byte in a host call, and fails with the host's error text.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__guest_error" (func $fail (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (memory (export "memory") 65)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (data (i32.const 128) "kubewarden")
  (data (i32.const 144) "oci")
  (data (i32.const 176) "v1/verify")
  (data (i32.const 208) "{}")
  (global $length (mut i32) (i32.const 0))
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (drop (call $host_call
      (i32.const 128) (i32.const 10) ;; binding
      (i32.const 144) (i32.const 3) ;; namespace
      (i32.const 176) (i32.const 9) ;; operation
      (i32.const 0) (i32.const 4194305))) ;; payload
    (global.set $length (call $host_error_len))
    (call $host_error (i32.const 1024))
    (call $fail (i32.const 1024) (global.get $length))
    (i32.const 0)))
