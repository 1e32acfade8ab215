;; Recurses 200,000 levels deep before it reads its request, then accepts.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (data (i32.const 0) "{\"valid\":true}")
  (data (i32.const 32) "{\"accepted\":true}")
  (func $depth (param $levels i32) (result i32)
    (if (result i32) (local.get $levels)
      (then (i32.add (i32.const 1) (call $depth (i32.sub (local.get $levels) (i32.const 1)))))
      (else (i32.const 0))))
  (func $print (param $fd i32) (param $address i32) (param $length i32)
    (i32.store (i32.const 1024) (local.get $address))
    (i32.store (i32.const 1028) (local.get $length))
    (drop (call $fd_write (local.get $fd) (i32.const 1024) (i32.const 1) (i32.const 1032))))
  ;; Reads stdin to its end, keeping the last 64 KiB or less at 65536; returns the length of the last read of any.
  (func $read (result i32) (local $length i32)
    (loop $again
      (i32.store (i32.const 1024) (i32.const 65536))
      (i32.store (i32.const 1028) (i32.const 65536))
      (drop (call $fd_read (i32.const 0) (i32.const 1024) (i32.const 1) (i32.const 1032)))
      (if (i32.load (i32.const 1032))
        (then
          (local.set $length (i32.load (i32.const 1032)))
          (br $again))))
    (local.get $length))
  (func (export "_start")
    (if (i32.ne (call $depth (i32.const 200000)) (i32.const 200000)) (then (unreachable)))
    (drop (call $read))
    ;; The size of all arguments with their NULs tells one operation from another.
    (drop (call $args_sizes_get (i32.const 1024) (i32.const 1028)))
    (if (i32.eq (i32.load (i32.const 1028)) (i32.const 30)) ;; policy.wasm validate-settings
      (then (call $print (i32.const 1) (i32.const 0) (i32.const 14)) (return)))
    (if (i32.ne (i32.load (i32.const 1028)) (i32.const 21)) ;; policy.wasm validate
      (then (unreachable)))
    (call $print (i32.const 1) (i32.const 32) (i32.const 17))))
