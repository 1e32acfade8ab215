;; Polls its stdin with a thousand subscriptions at once, over and over again.
(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 512)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 16) "\"v1\"")
  (data (i32.const 32) "{\"accepted\":true}")
  (func (export "__guest_call") (param $operation i32) (param $payload i32) (result i32)
    (local $subscription i32)
    ;; Both parameters are lengths, and the length of its name tells one operation from another.
    (if (i32.eq (local.get $operation) (i32.const 17)) ;; validate_settings
      (then (call $respond (i32.const 0) (i32.const 14)) (return (i32.const 1))))
    (if (i32.eq (local.get $operation) (i32.const 16)) ;; protocol_version
      (then (call $respond (i32.const 16) (i32.const 4)) (return (i32.const 1))))
    ;; validate
    ;; Each subscription has 48 bytes: all zero but for the kind at 8, which is to read.
    (local.set $subscription (i32.const 65536))
    (loop $next
      (i32.store8 offset=8 (local.get $subscription) (i32.const 1))
      (local.set $subscription (i32.add (local.get $subscription) (i32.const 48)))
      (br_if $next (i32.lt_u (local.get $subscription) (i32.const 113536))))
    (loop $forever
      (drop (call $poll_oneoff (i32.const 65536) (i32.const 131072) (i32.const 1000) (i32.const 128)))
      (br $forever))
    (i32.const 1)))
