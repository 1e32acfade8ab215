;; Accepts what it is asked about when the cluster has a namespace test-policy, and fails with the host's error text otherwise.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__guest_error" (func $fail (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (data (i32.const 128) "kubewarden")
  (data (i32.const 144) "kubernetes")
  (data (i32.const 160) "get_resource")
  (data (i32.const 208) "{\"api_version\":\"v1\",\"kind\":\"Namespace\",\"name\":\"test-policy\",\"disable_cache\":false}")
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (if (call $host_call
        (i32.const 128) (i32.const 10) ;; binding
        (i32.const 144) (i32.const 10) ;; namespace
        (i32.const 160) (i32.const 12) ;; operation
        (i32.const 208) (i32.const 82)) ;; payload
      (then (call $respond (i32.const 32) (i32.const 17)) (return (i32.const 1))))
    (call $host_error (i32.const 1024))
    (call $fail (i32.const 1024) (call $host_error_len))
    (i32.const 0)))
