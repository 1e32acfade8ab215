;; Prints 64 KiB of stars to stdout and a last word to stderr, then accepts.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (data (i32.const 160) "last word")
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (memory.fill (i32.const 65536) (i32.const 42) (i32.const 65536))
    (i32.store (i32.const 128) (i32.const 65536)) ;; one buffer: address
    (i32.store (i32.const 132) (i32.const 65536)) ;; and length
    (drop (call $fd_write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 136)))
    (i32.store (i32.const 128) (i32.const 160)) ;; one buffer: address
    (i32.store (i32.const 132) (i32.const 9)) ;; and length
    (drop (call $fd_write (i32.const 2) (i32.const 128) (i32.const 1) (i32.const 136)))
    (call $respond (i32.const 32) (i32.const 17))
    (i32.const 1)))
