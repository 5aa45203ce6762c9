package wat

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"sync"
)

// An instruction is what a name stands for.
type instruction struct {
	opcode     []byte
	immediates func(c *code, s *stream, name string)
}

// instructions gives every instruction but those that delimit blocks. The table is
// made when a first text is compiled: most programs that could never do.
var instructions = sync.OnceValue(func() map[string]instruction { return tabulate(runs()) })

func runs() []run {
	return []run{
		{0x00, (*code).none, "unreachable nop"},
		{0x0c, (*code).label, "br br_if"},
		{0x0e, (*code).labelTable, "br_table"},
		{0x0f, (*code).none, "return"},
		{0x10, (*code).funcIndex, "call"},
		{0x11, (*code).indirect, "call_indirect"},
		{0x12, (*code).funcIndex, "return_call"},
		{0x13, (*code).indirect, "return_call_indirect"},
		{0x1a, (*code).none, "drop"},
		{opSelect, (*code).selected, "select"},
		{0x20, (*code).localIndex, "local.get local.set local.tee"},
		{0x23, (*code).globalIndex, "global.get global.set"},
		{0x25, (*code).tableIndex, "table.get table.set"},
		{0x28, (*code).address, `
			i32.load i64.load f32.load f64.load
			i32.load8_s i32.load8_u i32.load16_s i32.load16_u
			i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u
			i32.store i64.store f32.store f64.store
			i32.store8 i32.store16 i64.store8 i64.store16 i64.store32`},
		{0x3f, (*code).memoryIndex, "memory.size memory.grow"},
		{0x41, (*code).i32, "i32.const"},
		{0x42, (*code).i64, "i64.const"},
		{0x43, (*code).f32, "f32.const"},
		{0x44, (*code).f64, "f64.const"},
		{0x45, (*code).none, `
			i32.eqz i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u
			i64.eqz i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u
			f32.eq f32.ne f32.lt f32.gt f32.le f32.ge
			f64.eq f64.ne f64.lt f64.gt f64.le f64.ge
			i32.clz i32.ctz i32.popcnt i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u
			i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr
			i64.clz i64.ctz i64.popcnt i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u
			i64.and i64.or i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr
			f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt
			f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign
			f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt
			f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign
			i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u
			i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u
			f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64
			f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32
			i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64
			i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s`},
		{0xd0, (*code).heapType, "ref.null"},
		{0xd1, (*code).none, "ref.is_null"},
		{0xd2, (*code).funcIndex, "ref.func"},
		{0xfc00, (*code).none, `
			i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u
			i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u`},
		{0xfc08, (*code).memoryInit, "memory.init"},
		{0xfc09, (*code).dataIndex, "data.drop"},
		{0xfc0a, (*code).twoMemories, "memory.copy"},
		{0xfc0b, (*code).memoryIndex, "memory.fill"},
		{0xfc0c, (*code).tableInit, "table.init"},
		{0xfc0d, (*code).elemIndex, "elem.drop"},
		{0xfc0e, (*code).twoTables, "table.copy"},
		{0xfc0f, (*code).tableIndex, "table.grow table.size table.fill"},
	}
}

// A run is some instructions with opcodes that follow one another and the same
// kind of immediates. The high byte of an opcode is its prefix.
type run struct {
	first      uint16
	immediates func(c *code, s *stream, name string)
	names      string
}

func tabulate(runs []run) map[string]instruction {
	table := map[string]instruction{}
	for _, r := range runs {
		for i, name := range strings.Fields(r.names) {
			opcode := binary.BigEndian.AppendUint16(nil, r.first+uint16(i))
			if opcode[0] == 0 {
				opcode = opcode[1:]
			}
			table[name] = instruction{opcode, r.immediates}
		}
	}
	return table
}

// address takes the offset and the alignment of an access to memory.
func (c *code) address(s *stream, name string) {
	offset, _ := s.assignment("offset=")
	align, given := s.assignment("align=")
	exponent := naturalAlignment(name)
	if given {
		if bits.OnesCount32(align) != 1 {
			s.fail("alignment of %s is not a power of two", name)
		}
		exponent = uint32(bits.TrailingZeros32(align))
	}
	c.buf = append(append(c.buf, uleb(exponent)...), uleb(offset)...)
}

// assignment takes a word like offset=8.
func (s *stream) assignment(prefix string) (value uint32, given bool) {
	n := s.peek()
	digits, given := strings.CutPrefix(n.text, prefix)
	if !given || n.kind != word {
		return 0, false
	}
	v, ok := parseUint(digits, 32)
	if !ok {
		s.fail("expected a number of 32 bits after %s", prefix)
	}
	s.next()
	return uint32(v), true
}

// naturalAlignment is the exponent of the width that a load or store accesses,
// such as 1 for i64.load16_s.
func naturalAlignment(name string) uint32 {
	valueType, access, _ := strings.Cut(name, ".")
	switch {
	case strings.Contains(access, "8"):
		return 0
	case strings.Contains(access, "16"):
		return 1
	case strings.Contains(access, "32"):
		return 2
	}
	return uint32(bits.TrailingZeros(uint(bytesOf(valueType))))
}

func bytesOf(valueType string) int {
	if strings.HasSuffix(valueType, "64") {
		return 8
	}
	return 4
}
