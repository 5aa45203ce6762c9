package wasi

import (
	"context"

	"wasmwhisk/engine"
)

func (s *System) argsGet(_ context.Context, mem engine.Memory, a args) error {
	return putStrings(mem, s.config.Args, a.u32(0), a.u32(1))
}

func (s *System) argsSizesGet(_ context.Context, mem engine.Memory, a args) error {
	return putSizes(mem, s.config.Args, a.u32(0), a.u32(1))
}

func (s *System) environGet(_ context.Context, mem engine.Memory, a args) error {
	return putStrings(mem, s.config.Env, a.u32(0), a.u32(1))
}

func (s *System) environSizesGet(_ context.Context, mem engine.Memory, a args) error {
	return putSizes(mem, s.config.Env, a.u32(0), a.u32(1))
}

// putStrings writes the strings, each with its NUL, from text on, and a pointer
// to each from pointers on.
func putStrings(mem engine.Memory, list []string, pointers, text uint32) error {
	for _, str := range list {
		if err := mem.PutUint32(pointers, text); err != nil {
			return err
		}
		b, err := mem.Range(text, uint32(len(str))+1)
		if err != nil {
			return err
		}
		b[copy(b, str)] = 0
		pointers, text = pointers+4, text+uint32(len(b))
	}
	return nil
}

// putSizes writes how many strings there are and how many bytes they take.
func putSizes(mem engine.Memory, list []string, count, size uint32) error {
	total := 0
	for _, str := range list {
		total += len(str) + 1
	}
	if err := mem.PutUint32(count, uint32(len(list))); err != nil {
		return err
	}
	return mem.PutUint32(size, uint32(total))
}
