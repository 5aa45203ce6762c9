package wazero

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// Memories of every size are put back wherever the kernel tells less than it can.
func TestResetsOnLesserKernels(t *testing.T) {
	t.Parallel()
	for name, lessen := range map[string]func(*dirtyFinder){
		"no scan":    func(d *dirtyFinder) { d.scans = false },
		"no pagemap": func(d *dirtyFinder) { d.pagemap = nil },
	} {
		for _, pages := range []int{1, 8, 40} {
			t.Run(fmt.Sprintf("%s, %d pages", name, pages), func(t *testing.T) {
				t.Parallel()
				c := newTestCompiler(t)
				lessen(&c.dirty)
				c.config.CheckResets = true
				i := writer(t, c, pages)
				for range 3 {
					_, err := i.Call(t.Context(), "write")
					require.NoError(t, err)
					require.NoError(t, i.Reset())
					require.Zero(t, i.Memory()[pages*engine.PageSize-1])
					require.EqualValues(t, "a", i.Memory()[9:10])
				}
			})
		}
	}
}

func TestNoteWithoutPagemap(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	c.dirty.pagemap = nil
	assert.Contains(t, c.Info().Note, "pagemap")
}

func TestNothingToNoteWithPagemap(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	if c.dirty.pagemap == nil {
		t.Skip("no pagemap here")
	}
	assert.Empty(t, c.Info().Note)
}

// Both ways to ask the kernel name all that was written, however it is spread,
// and one names nothing more: a page that was only read need not be put back.
func TestFindersAgree(t *testing.T) {
	t.Parallel()
	d := newDirtyFinder()
	defer d.close()
	if !d.scans {
		t.Skip("this kernel has no PAGEMAP_SCAN")
	}
	for name, size := range map[string]int{"mapped": 3 << 20, "copied": copiedBytes} {
		for _, writes := range []int{0, 1, 7, 100, 400} {
			t.Run(fmt.Sprintf("%s %d", name, writes), func(t *testing.T) {
				c, err := newContents(bytes.Repeat([]byte{1}, size), d)
				require.NoError(t, err)
				defer c.close()
				base, err := reserve(4 << 20)
				require.NoError(t, err)
				defer unreserve(base)
				sl := &slot{base: base, used: len(base) - 100}
				require.NoError(t, c.fill(sl))
				want := map[int]bool{}
				for range writes {
					at := rand.IntN(sl.used)
					sl.base[at], want[at/os.Getpagesize()] = 9, true
					_ = bytes.Count(sl.base[:rand.IntN(sl.used)], []byte{9})
				}
				read, scanned := dirtyPages(t, d.read, sl), dirtyPages(t, d.scan, sl)
				for page := range want {
					require.True(t, read[page], "page %d was written, read", page)
					require.True(t, scanned[page], "page %d was written, scanned", page)
				}
				if c.file != nil {
					require.Equal(t, want, scanned)
				}
			})
		}
	}
}

func dirtyPages(t *testing.T, find func(*slot, *scratch) error, sl *slot) map[int]bool {
	t.Helper()
	s := new(scratch)
	require.NoError(t, find(sl, s))
	pages := map[int]bool{}
	for _, d := range s.dirty {
		for at := d.from; at < d.to; at += os.Getpagesize() {
			pages[at/os.Getpagesize()] = true
		}
	}
	return pages
}

// More than a slot may keep need not be told in full.
func TestScanEndsWhereItIsTooMuch(t *testing.T) {
	t.Parallel()
	d := newDirtyFinder()
	defer d.close()
	if !d.scans {
		t.Skip("this kernel has no PAGEMAP_SCAN")
	}
	base, err := reserve(16 << 20)
	require.NoError(t, err)
	defer unreserve(base)
	for at := 0; at < len(base); at += 2 * os.Getpagesize() {
		base[at] = 1
	}
	pages := dirtyPages(t, d.scan, &slot{base: base, used: len(base)})
	require.Len(t, pages, keptPages+1)
}

// A memory that is not put back whole must not go unnoticed.
func TestCheckedResetsPanic(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	c.config.CheckResets = true
	if c.dirty.pagemap == nil {
		t.Skip("no pagemap here")
	}
	i := writer(t, c, 40)
	zeros, err := os.Open("/dev/zero") // a pagemap that knows of nothing written
	require.NoError(t, err)
	defer zeros.Close()
	i.from.memories.contents.dirty = dirtyFinder{pagemap: zeros, scratch: c.dirty.scratch}
	_, err = i.Call(t.Context(), "write")
	require.NoError(t, err)
	assert.PanicsWithValue(t, "wazero: a memory that was put back is not what it was", func() { _ = i.Reset() })
}

// writer is an instance that writes to its data and to its last byte.
func writer(t *testing.T, c *Compiler, pages int) *instance {
	t.Helper()
	m, err := c.Compile(t.Context(), wat.Must(fmt.Sprintf(`(memory (export "memory") %d) (data (i32.const 8) "data")
		(func (export "write") (i32.store8 (i32.const 9) (i32.const 65)) (i32.store8 (i32.const %d) (i32.const 65)))`,
		pages, pages*engine.PageSize-1)))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close(t.Context())) })
	i, err := m.Instantiate(t.Context(), engine.Limits{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, i.Close(t.Context())) })
	return i.(*instance)
}
