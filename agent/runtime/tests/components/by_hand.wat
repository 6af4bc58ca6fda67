;; A validator written by hand, without any toolchain of ours: valid is the item `pigeon` and nothing else.
;;
;; It is real: it reads the item out of its memory and says where it first differs. Answers lie ready in memory as the
;; canonical ABI lays them out; only the place of the difference is written into them.
(component
  ;; The contract's types, as `wit/types.wit` has them.
  (type $item' (record (field "id" string) (field "body" (list u8))))
  (export $item "item" (type $item'))
  (type $severity' (enum "error" "warning" "info"))
  (export $severity "severity" (type $severity'))
  (type $place' (record
    (field "line" (option u32)) (field "column" (option u32))
    (field "offset" (option u64)) (field "pointer" (option string))))
  (export $place "place" (type $place'))
  (type $finding' (record
    (field "severity" $severity) (field "code" string) (field "message" string) (field "place" (option $place))))
  (export $finding "finding" (type $finding'))
  (type $counts' (record (field "errors" u64) (field "warnings" u64) (field "infos" u64)))
  (export $counts "counts" (type $counts'))
  (type $judgement' (record
    (field "findings" (list $finding)) (field "omitted" $counts)
    (field "score" (option float64)) (field "data" (option string))))
  (export $judgement "judgement" (type $judgement'))
  (type $failure-kind' (enum "permanent" "transient"))
  (export $failure-kind "failure-kind" (type $failure-kind'))
  (type $failure' (record (field "kind" $failure-kind) (field "code" string) (field "message" string)))
  (export $failure "failure" (type $failure'))
  (type $option-spec' (record
    (field "name" string) (field "description" string) (field "default" (option string)) (field "required" bool)))
  (export $option-spec "option-spec" (type $option-spec'))
  (type $code-spec' (record (field "code" string) (field "severity" (option $severity)) (field "description" string)))
  (export $code-spec "code-spec" (type $code-spec'))
  (type $instance-policy' (enum "fresh" "shared"))
  (export $instance-policy "instance-policy" (type $instance-policy'))
  (type $vote' (enum "worst" "majority"))
  (export $vote "vote" (type $vote'))
  (type $memory-need' (record (field "base" u64) (field "factor" float64)))
  (export $memory-need "memory-need" (type $memory-need'))
  (type $metadata' (record
    (field "name" string) (field "version" string) (field "description" string) (field "formats" (list string))
    (field "options" (list $option-spec)) (field "codes" (list $code-spec)) (field "instances" $instance-policy)
    (field "vote" $vote) (field "memory" $memory-need) (field "models" (list string))
    (field "extensions" (list (tuple string string)))))
  (export $metadata "metadata-of-a-plugin" (type $metadata'))
  (type $expectation' (enum "valid" "invalid" "any"))
  (export $expectation "expectation" (type $expectation'))
  (type $test-case' (record (field "item" $item) (field "expected" $expectation) (field "description" string)))
  (export $test-case "test-case" (type $test-case'))

  (core module $code
    (memory (export "memory") 1)

    ;; Texts.
    (data (i32.const 16) "by-hand")                                 ;; 7
    (data (i32.const 32) "1.2.3")                                   ;; 5
    (data (i32.const 48) "Asks for one word. Written by hand.")     ;; 35
    (data (i32.const 96) "wrong-word")                              ;; 10
    (data (i32.const 112) "the item is not the word it should be")  ;; 37
    (data (i32.const 160) "pigeon")                                 ;; 6

    ;; 256: the metadata. Name, version, description; no lists; shared, worst; 1 MiB and twice the item.
    (data (i32.const 256)
      "\10\00\00\00\07\00\00\00" "\20\00\00\00\05\00\00\00" "\30\00\00\00\23\00\00\00"
      "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00"
      "\01\00\00\00\00\00\00\00"
      "\00\00\10\00\00\00\00\00" "\00\00\00\00\00\00\00\40"
      "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00")

    ;; 384: ok, no findings: all zero. 512: ok, one finding, which lies at 640.
    (data (i32.const 512) "\00\00\00\00\00\00\00\00" "\80\02\00\00\01\00\00\00")
    ;; 640: an error with code, message and a place whose offset is written at 696.
    (data (i32.const 640)
      "\00\00\00\00" "\60\00\00\00\0a\00\00\00" "\70\00\00\00\25\00\00\00" "\00\00\00\00"
      "\01\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\00\00\00\00\00\00\00\00" "\01\00\00\00\00\00\00\00")
    ;; 768: ok, no test cases: all zero.

    ;; What the host lowers, the item, lies from 1024 on, and is forgotten with each answer.
    (global $next (mut i32) (i32.const 1024))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $start i32)
      (local.set $start (i32.and
        (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $next (i32.add (local.get $start) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
        (br_if $enough (i32.ne (i32.const -1) (memory.grow
          (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))
        unreachable)
      (local.get $start))

    (func (export "metadata") (result i32) (i32.const 256))
    (func (export "generate-test-cases") (param i32 i64) (result i32) (i32.const 768))

    (func (export "validate") (param $id i32) (param $id-size i32) (param $body i32) (param $size i32) (result i32)
      (local $at i32)
      (global.set $next (i32.const 1024))
      (loop $next-byte
        (if (i32.and
              (i32.lt_u (local.get $at) (local.get $size))
              (i32.lt_u (local.get $at) (i32.const 6)))
          (then
            (if (i32.eq
                  (i32.load8_u (i32.add (local.get $body) (local.get $at)))
                  (i32.load8_u offset=160 (local.get $at)))
              (then
                (local.set $at (i32.add (local.get $at) (i32.const 1)))
                (br $next-byte))))))
      (if (i32.and (i32.eq (local.get $at) (i32.const 6)) (i32.eq (local.get $size) (i32.const 6)))
        (then (return (i32.const 384))))
      (i64.store (i32.const 696) (i64.extend_i32_u (local.get $at)))
      (i32.const 512)))

  (core instance $core (instantiate $code))
  (alias core export $core "memory" (core memory $memory))
  (alias core export $core "realloc" (core func $realloc))

  (func $metadata-func (result $metadata)
    (canon lift (core func $core "metadata") (memory $memory)))
  (func $validate-func (param "item" $item) (result (result $judgement (error $failure)))
    (canon lift (core func $core "validate") (memory $memory) (realloc $realloc)))
  (func $generate-func (param "count" u32) (param "seed" u64) (result (result (list $test-case) (error $failure)))
    (canon lift (core func $core "generate-test-cases") (memory $memory)))

  (instance $validation
    (export "metadata" (func $metadata-func))
    (export "validate" (func $validate-func))
    (export "generate-test-cases" (func $generate-func)))
  (export "pigeon:plugin/validation@0.1.0" (instance $validation)))
