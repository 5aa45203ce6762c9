package wazero

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// Where the kernel does not tell which pages were written, memories of every size
// are put back all the same, and the engine says that it has to do without.
func TestResetsWithoutPagemap(t *testing.T) {
	t.Parallel()
	for _, pages := range []int{1, 8, 40} {
		t.Run(fmt.Sprintf("%d pages", pages), func(t *testing.T) {
			t.Parallel()
			c := newTestCompiler(t)
			c.dirty.pagemap = nil
			assert.Contains(t, c.Info().Note, "pagemap")
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

func TestNothingToNoteWithPagemap(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	if c.dirty.pagemap == nil {
		t.Skip("no pagemap here")
	}
	assert.Empty(t, c.Info().Note)
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
	i.from.memories.contents.dirty.pagemap = zeros
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
