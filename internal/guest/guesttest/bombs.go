package guesttest

import (
	"bytes"
	"encoding/binary"
)

// Bombs returns commands that take a compiler minutes, unless it is stopped, by
// what they are made of. They do nothing when they run.
func Bombs() map[string][]byte {
	var around []byte
	for i := range 1000 {
		around = append(append(append(append(around, 0x03, 0x40, 0x20), number(i)...), 0x21), number(i+1)...)
	}
	return map[string][]byte{
		"deep blocks":        OneFunction(0, repeat(200_000, 0x02, 0x40), repeat(200_000, 0x0b)),
		"deep loops":         OneFunction(0, repeat(45_000, 0x03, 0x40), repeat(45_000, 0x0b)),
		"huge br_table":      OneFunction(0, []byte{0x02, 0x40, 0x41, 0, 0x0e}, number(1_000_000), repeat(1_000_001, 0), []byte{0x0b}),
		"many locals":        OneFunction(50_000, repeat(20_000, 0x03, 0x40, 0x41, 0, 0x0d, 0, 0x0b)),
		"loops among locals": OneFunction(1001, around, repeat(1000, 0x41, 0, 0x0d, 0, 0x0b)),
	}
}

// OneFunction returns a command of one function, with so many locals of type i32
// and with the instructions in code, without its end.
func OneFunction(locals int, code ...[]byte) []byte {
	declared := []byte{0}
	if locals > 0 {
		declared = append(append([]byte{1}, number(locals)...), 0x7f)
	}
	body := append(append(declared, bytes.Join(code, nil)...), 0x0b)
	sized := append(append([]byte{1}, number(len(body))...), body...)
	module := []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a")
	return append(append(module, number(len(sized))...), sized...)
}

func number(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func repeat(n int, code ...byte) []byte { return bytes.Repeat(code, n) }
