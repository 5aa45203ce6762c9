package enginebench

// Tiny is a guest that answers with its input: what is measured of it is the
// engine's.
//
//	(memory (export "memory") 1)
//	(func (export "ow_alloc") (param i32) (result i32) (i32.const 1024))
//	(func (export "ow_run") (param i32 i32) (result i64)
//	  (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32))
//	          (i64.extend_i32_u (local.get 1))))
func Tiny() Guest {
	const binary = "\x00asm\x01\x00\x00\x00" +
		"\x01\x0c\x02`\x01\x7f\x01\x7f`\x02\x7f\x7f\x01~" + // types
		"\x03\x03\x02\x00\x01" + // functions
		"\x05\x03\x01\x00\x01" + // memory
		"\x07\x1e\x03\x06memory\x02\x00\x08ow_alloc\x00\x00\x06ow_run\x00\x01" + // exports
		"\x0a\x14\x02\x05\x00A\x80\x08\x0b\x0c\x00 \x00\xadB \x86 \x01\xad\x84\x0b" // code
	return Guest{Name: "tiny", Binary: []byte(binary), Input: `{"param1":2,"param2":3}`}
}
