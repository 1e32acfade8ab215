;; Every way of running on, each exported. Needs: the meter only.
(module
  (type $void (func))
  (table $t 1 funcref)
  (elem (i32.const 0) $by_table)
  (memory 1)
  (data $d "0123456789")

  (func (export "rounds") (param $n i32) (result i32) (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $i))

  (func (export "counts_down") (param $n i32)
    (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))

  (func (export "rounds_with_parameters") (param $n i32) (result i32)
    (i32.const 0)
    (local.get $n)
    (loop $again (param i32 i32) (result i32)
      (local.set $n)
      (i32.const 1)
      (i32.add)
      (local.get $n)
      (i32.const 1)
      (i32.sub)
      (local.tee $n)
      (local.get $n)
      (br_if $again)
      (drop)))

  (func $fibonacci (export "fibonacci") (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (i32.add
        (call $fibonacci (i32.sub (local.get $n) (i32.const 1)))
        (call $fibonacci (i32.sub (local.get $n) (i32.const 2)))))))

  (func (export "loops") (loop $again (br $again)))
  (func (export "loops_by_table") (loop $again (br_table $again $again (i32.const 0))))
  (func $recurses (export "recurses") (call $recurses) (call $recurses))
  (func $by_table (export "recurses_by_table")
    (call_indirect (type $void) (i32.const 0)) (call_indirect (type $void) (i32.const 0)))
  (func $tails (export "tail_calls") (return_call $tails))
  (func (export "tail_calls_by_table") (return_call_indirect (type $void) (i32.const 0)))

  (func (export "fills") (param $n i32)
    (memory.fill (i32.const 0) (i32.const 7) (local.get $n)))
  (func (export "fills_on") (loop $again
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536)) (br $again)))
  (func (export "copies") (param $n i32) (local $a i64) (local $b i32)
    (local.set $b (i32.const 5))
    (memory.copy (local.get $b) (i32.const 0) (local.get $n)))
  (func (export "inits") (param $n i32)
    (memory.init $d (i32.const 16) (i32.const 2) (local.get $n)))
  (func (export "grows") (result i32) (memory.grow (i32.const 1)))
  (func (export "byte") (param $at i32) (result i32) (i32.load8_u (local.get $at))))
