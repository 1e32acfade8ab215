;; Well behaved: answers with what WASI tells it of clocks, randomness, arguments, environment, directories and stdin.
;; The answer is 40 bytes, all numbers little endian: wall clock and monotonic clock in nanoseconds, 8 random bytes;
;; then 4 bytes each for the counts of arguments and variables, the errno of the first preopened directory, and the
;; bytes read from stdin.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 128)))
    (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 136)))
    (drop (call $random_get (i32.const 144) (i32.const 8)))
    (drop (call $args_sizes_get (i32.const 152) (i32.const 256)))
    (drop (call $environ_sizes_get (i32.const 156) (i32.const 256)))
    (i32.store (i32.const 160) (call $fd_prestat_get (i32.const 3) (i32.const 256)))
    (i32.store (i32.const 256) (i32.const 512)) ;; one buffer: address
    (i32.store (i32.const 260) (i32.const 1024)) ;; and length
    (drop (call $fd_read (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 164)))
    (call $respond (i32.const 128) (i32.const 40))
    (i32.const 1)))
