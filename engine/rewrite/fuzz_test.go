package rewrite_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// FuzzRewrite holds rewritten modules against an engine: they are valid exactly
// if the originals are, and what is refused has an error that callers know.
func FuzzRewrite(f *testing.F) {
	for _, source := range []string{"", uncommon, readsEveryWay, manyTables(6), everySegment, spinners["nested"], spinners["br_table"]} {
		f.Add(wat.Must(source))
	}
	f.Add(generate(bytes.Repeat([]byte{1, 5, 3, 9, 2, 7, 11}, 40)))
	f.Add(manyVectors(3))
	ctx := context.Background()
	r := newRuntime(f, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, binary []byte) {
		before := bytes.Clone(binary)
		for name, o := range variants() {
			result, err := rewrite.Rewrite(binary, o)
			if !bytes.Equal(before, binary) {
				t.Fatalf("Rewrite(%x) with %s changed its argument", before, name)
			}
			if err != nil {
				requireKnown(t, err)
				continue
			}
			// Only now: the walker refuses what would make the engine allocate without end.
			if was, is := valid(ctx, r, rewrite.Plain(binary)), valid(ctx, r, result.Binary); (was == nil) != (is == nil) {
				t.Errorf("Rewrite(%x) with %s = %x, valid before: %v, after: %v", binary, name, result.Binary, was, is)
			}
		}
		requireValidParts(t, r, binary)
	})
}

// requireValidParts holds a frame and its parts against the original.
func requireValidParts(t *testing.T, r wazero.Runtime, binary []byte) {
	t.Helper()
	parts, err := rewrite.Split(binary, rewrite.Options{})
	if err != nil {
		requireKnown(t, err)
		return
	}
	ctx := context.Background()
	was, is := valid(ctx, r, rewrite.Plain(binary)), validParts(ctx, r, parts)
	if (was == nil) != (is == nil) {
		t.Errorf("Split(%x) = %x, valid before: %v, after: %v", binary, parts.Binary, was, is)
	}
	judged := valid(ctx, r, parts.Binary)
	for first := range uint32(2) {
		var unsure []uint32
		for n := first; n < parts.Count(); n += 2 {
			if !parts.Sound(n) {
				unsure = append(unsure, n)
			}
		}
		if unsure != nil {
			judged = errors.Join(judged, valid(ctx, r, parts.Sample(unsure)))
		}
	}
	if (was == nil) != (judged == nil) {
		t.Errorf("samples of %x, valid: %v, as a whole: %v", binary, judged, was)
	}
}

// validParts has an engine judge a frame and each of its parts.
func validParts(ctx context.Context, r wazero.Runtime, parts *rewrite.Parts) error {
	err := valid(ctx, r, parts.Binary)
	for n := range parts.Count() {
		if parts.Asked(n) {
			err = errors.Join(err, valid(ctx, r, parts.Part([]uint32{n})))
		}
	}
	return err
}

func requireKnown(t *testing.T, err error) {
	t.Helper()
	_, format := errors.AsType[*rewrite.FormatError](err)
	_, unsupported := errors.AsType[*rewrite.UnsupportedError](err)
	_, reserved := errors.AsType[*rewrite.ReservedError](err)
	_, table := errors.AsType[*rewrite.TableError](err)
	_, memory := errors.AsType[*rewrite.MemoryError](err)
	require.True(t, format || unsupported || reserved || table || memory, "unknown error %v", err)
}
