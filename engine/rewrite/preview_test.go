package rewrite_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// arrive shows a preview a binary in pieces of at most so many bytes, and gives the
// memory in which it is then.
func arrive(p *rewrite.Preview, binary []byte, most int) []byte {
	arrived := make([]byte, 0, len(binary)+1)
	for len(arrived) < len(binary) {
		n := min(1+rand.N(most), len(binary)-len(arrived))
		arrived = append(arrived, binary[len(arrived):len(arrived)+n]...)
		p.Show(arrived)
	}
	return arrived
}

// outline is all that a caller can see of a module in parts.
func outline(t *testing.T, binary []byte, preview *rewrite.Preview) (result rewrite.Result, all []byte, err error) {
	t.Helper()
	parts, err := rewrite.Split(binary, rewrite.Options{TableElements: 10_000, Preview: preview})
	if err != nil {
		return result, nil, err
	}
	var functions []uint32
	for n := range parts.Count() {
		if parts.Asked(n) {
			functions = append(functions, n)
		}
		all = append(all, byte(parts.Shape(n)))
		if parts.Sound(n) {
			all = append(all, '!')
		}
	}
	if len(functions) > 0 {
		all = append(all, parts.Part(functions)...)
	}
	return parts.Result, all, nil
}

func requirePreviewTellsTheSame(t *testing.T, binary, arrived []byte, preview *rewrite.Preview) {
	t.Helper()
	want, wantParts, wantErr := outline(t, binary, nil)
	got, gotParts, err := outline(t, arrived, preview)
	require.Equal(t, wantErr, err)
	require.Equal(t, want, got)
	require.True(t, bytes.Equal(wantParts, gotParts), "parts differ")
}

// placed has functions at several places of a table.
const placed = `(table 9 funcref) (elem (i32.const 0) $f $g $f $f $g $f $f $f $f)
	(func $g (loop (br_if 0 (i32.const 0)) (call $f))) (func $f (export "f") (call $g))`

// However a module arrives, and wherever the preview is when all of it is there, what
// comes of it is the same.
func TestPreviewTellsTheSame(t *testing.T) {
	t.Parallel()
	for name, binary := range map[string][]byte{
		"empty":     wat.Must("(module)"),
		"calls":     wat.Must(calls),
		"placed":    wat.Must(placed),
		"uncommon":  wat.Must(uncommon),
		"generated": generate(bytes.Repeat([]byte{1, 5, 3, 9, 2, 7, 11}, 40)),
		"Go":        guesttest.Build(t, "wasmwhisk/examples/add", guest.Reactor),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pieces := []int{1 + len(binary)/3, 1 + len(binary)/1000, len(binary)}
			if testing.Short() && len(binary) > 1<<20 {
				pieces = pieces[:1]
			}
			for _, most := range pieces {
				cut := rewrite.NewPreview()
				requirePreviewTellsTheSame(t, binary, arrive(cut, binary, most), cut)
				whole := rewrite.NewPreview()
				arrived := arrive(whole, binary, most)
				if parts := split(t, binary); parts.Count() > 0 {
					whole.Wait()
					assert.NotZero(t, whole.Seen())
				}
				requirePreviewTellsTheSame(t, binary, arrived, whole)
			}
		})
	}
}

// Functions that need the sections after the code, and such as are not in order, are
// left to the pass over the whole.
func TestPreviewSkipsWhatItCannotJudge(t *testing.T) {
	t.Parallel()
	nop, label := []byte{0, 1, 0x0b}, []byte{0, 0x0c, 7, 0x0b} // br 7
	manyLocals := []byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b}
	for name, tt := range map[string]struct {
		binary []byte
		seen   int
	}{
		"a fault":         {ofBodies(nop, label, nop), 2},
		"too many locals": {ofBodies(nop, manyLocals, nop, nop), 3},
		"data": {wat.Must(`(module (memory 1) (data "x") (func nop)
			(func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))) (func (data.drop 0)))`), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := rewrite.NewPreview()
			arrived := arrive(p, tt.binary, 3)
			p.Wait()
			require.Equal(t, tt.seen, p.Seen())
			requirePreviewTellsTheSame(t, tt.binary, arrived, p)
		})
	}
}

// What was learned in other memory, or of another module, is of no use.
func TestPreviewOfOtherMemory(t *testing.T) {
	t.Parallel()
	binary := wat.Must(calls)
	other := wat.Must(strings.Replace(calls, "i32.const 9", "i32.const 8", 1))
	for name, elsewhere := range map[string][]byte{"copy": slices.Clone(binary), "another": other} {
		p := rewrite.NewPreview()
		arrive(p, binary, 50)
		p.Wait()
		require.NotZero(t, p.Seen())
		requirePreviewTellsTheSame(t, elsewhere, elsewhere, p)
		require.Zero(t, p.Seen(), name)
	}
	moved := rewrite.NewPreview()
	moved.Show(binary[:20])
	moved.Show(slices.Clone(binary))
	moved.Wait()
	require.Zero(t, moved.Seen())
}

// Nothing is left running by a preview that was shown little or nothing.
func TestPreviewEnds(t *testing.T) {
	t.Parallel()
	binary := wat.Must(calls)
	for n := range len(binary) {
		p := rewrite.NewPreview()
		p.Show(binary[:n])
		p.End()
		p.End()
		p.Wait()
	}
	never := rewrite.NewPreview()
	never.End()
	never.Wait()
}

// FuzzPreview holds what comes of a binary that was looked at while it arrived
// against what comes of it otherwise.
func FuzzPreview(f *testing.F) {
	for _, source := range []string{"", uncommon, readsEveryWay, calls} {
		f.Add(wat.Must(source), uint16(7))
	}
	f.Add(generate(bytes.Repeat([]byte{1, 5, 3, 9, 2, 7, 11}, 40)), uint16(1000))
	f.Add(ofBodies([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b}), uint16(1))
	f.Fuzz(func(t *testing.T, binary []byte, most uint16) {
		p := rewrite.NewPreview()
		requirePreviewTellsTheSame(t, binary, arrive(p, binary, 1+int(most)), p)
	})
}
