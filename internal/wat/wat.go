// Package wat assembles the WebAssembly text format into binaries.
//
// Tests write hostile and tiny guests with it, so it assembles whatever the
// grammar allows and validates nothing: an index out of range, a type error or
// a limit upside down goes into the binary as written. It knows WebAssembly 2.0
// without vectors, tail calls, shared memories, and custom sections through
// (@custom "name" "bytes"). Function types that appear only in uses follow the
// declared ones, in order of appearance.
package wat

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Compile assembles the one module that src holds, with or without its
// (module …) around the fields. The error is a [*SyntaxError].
func Compile(src string) ([]byte, error) {
	nodes, fault := parse(src)
	if fault != nil {
		return nil, fault.in(src)
	}
	m := newModule()
	m.assemble(&stream{nodes: nodes, end: len(src), m: m})
	if m.fault != nil {
		return nil, m.fault.in(src)
	}
	return m.encode(), nil
}

// Must is Compile for sources that are part of the program: it panics where
// Compile gives an error.
func Must(src string) []byte {
	binary, err := Compile(src)
	if err != nil {
		panic(err)
	}
	return binary
}

// SyntaxError reports a source that is not a module.
type SyntaxError struct {
	Line, Column int // in lines and characters, from 1
	Message      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("wat: %d:%d: %s", e.Line, e.Column, e.Message)
}

// A fault is a SyntaxError whose position is still an offset.
type fault struct {
	pos     int
	message string
}

func (f *fault) in(src string) *SyntaxError {
	before := src[:f.pos]
	start := strings.LastIndexByte(before, '\n') + 1
	return &SyntaxError{
		Line:    strings.Count(before, "\n") + 1,
		Column:  utf8.RuneCountInString(before[start:]) + 1,
		Message: f.message,
	}
}
