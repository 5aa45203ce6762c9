package wazero

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"

	"wasmwhisk/engine"
	"wasmwhisk/internal/wat"
)

// large is a module with more machine code than is read; f gives 9.
func large() []byte {
	var src strings.Builder
	src.WriteString(`(module (memory (export "memory") 1)`)
	for i := range 5000 {
		fmt.Fprintf(&src, "(func $f%d (param i32) (result i32) (local.get 0)%s)\n", i,
			strings.Repeat("(i32.mul (local.get 0)) (i32.rotl (i32.const 3)) (i32.xor (local.get 0))", 30))
	}
	src.WriteString(`(func (export "f") (result i32) (drop (call $f4999 (i32.const 1))) (i32.const 9)))`)
	return wat.Must(src.String())
}

// TestLoadMapsCode pins wazero's internals that interpose relies on, and its form
// of machine code on disk.
func TestLoadMapsCode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("code is mapped on Linux only")
	}
	c := newTestCompiler(t)
	dir := precompiled(t, c, large())
	m, err := c.Load(t.Context(), nil, dir)
	require.NoError(t, err)
	code, err := os.Stat(filepath.Join(dir, machineFile))
	require.NoError(t, err)
	require.Greater(t, code.Size(), int64(mappedCodeBytes))
	require.Zero(t, code.Size()%hugePage, "bytes of machine code that wazero takes")
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	require.Regexp(t, `r-xp .* `+filepath.Join(dir, machineFile), string(maps))
	require.NoError(t, os.RemoveAll(dir), "as eviction does")
	require.EqualValues(t, 9, result(t, m))
}

func TestLoadCopiesCodeIfTold(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles as much as TestLoadMapsCode")
	}
	t.Parallel()
	c, err := NewCompiler(t.Context(), engine.Config{CopyCode: true})
	require.NoError(t, err)
	defer c.Close(t.Context())
	dir := precompiled(t, c, large())
	m, err := c.Load(t.Context(), nil, dir)
	require.NoError(t, err)
	maps, err := os.ReadFile("/proc/self/maps")
	if err == nil {
		require.NotContains(t, string(maps), dir)
	}
	require.EqualValues(t, 9, result(t, m))

	require.NoError(t, os.Remove(filepath.Join(dir, machineFile)))
	_, err = c.Load(t.Context(), nil, dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestInterposeLeavesAloneWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, cache := range map[string]wazero.CompilationCache{
		"another type":  struct{ wazero.CompilationCache }{},
		"another field": &struct{ wazero.CompilationCache }{},
		"another method": &struct {
			wazero.CompilationCache
			fileCache interface{ Evict() }
		}{},
	} {
		require.Nil(t, interpose(cache), name)
	}
}

func TestCodeReaderRefusesWhatIsCutOff(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	dir := precompiled(t, c, seven)
	whole, err := os.ReadFile(filepath.Join(dir, codeFile))
	require.NoError(t, err)
	for n := range footerBytes {
		require.NoError(t, os.WriteFile(filepath.Join(dir, codeFile), whole[:n], 0o600))
		_, err := readBack(dir)
		require.Error(t, err, "of a file of %d bytes", n)
	}
}

// TestLoadComparesMachineCode holds wazero to what the artefact cache leaves to it.
func TestLoadComparesMachineCode(t *testing.T) {
	t.Parallel()
	for name, copied := range map[string]bool{"mapped": false, "copied": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := NewCompiler(t.Context(), engine.Config{CopyCode: copied})
			require.NoError(t, err)
			defer c.Close(t.Context())
			dir := precompiled(t, c, seven)
			path := filepath.Join(dir, machineFile)
			whole, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, engine.CheckInLoad, c.Check(machineFile))
			for at := range whole {
				damaged := bytes.Clone(whole)
				damaged[at] ^= 1 << (at % 8)
				require.NoError(t, os.WriteFile(path, damaged, 0o600))
				_, err = c.Load(t.Context(), nil, dir)
				require.ErrorContains(t, err, "checksum", "with byte %d damaged", at)
			}
			require.NoError(t, os.WriteFile(path, whole, 0o600))
			m, err := c.Load(t.Context(), nil, dir)
			require.NoError(t, err)
			require.EqualValues(t, 7, result(t, m))
		})
	}
}

func TestPadCodeEndsWhereAHugePageDoes(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{
		0: 0, 1000: 1000, hugePage: hugePage, 3 * hugePage / 2: 3 * hugePage / 2,
		8*hugePage/5 + 1: 2 * hugePage, 4*hugePage + 1: 5 * hugePage,
	} {
		code := bytes.Repeat([]byte{1}, size)
		padded := padCode(written(code))
		from, to := findCode(padded)
		require.Equal(t, want, to-from, "of %d bytes", size)
		require.Equal(t, written(append(code, make([]byte, want-size)...)), padded)
	}
	for _, strange := range [][]byte{nil, []byte("WAZEVO"), make([]byte, 5*hugePage+1)} {
		require.Equal(t, strange, padCode(strange))
	}
}

// written is code as wazero writes it.
func written(code []byte) []byte {
	text := []byte("WAZEVO\x03dev\x01\x00\x00\x00offset88")
	text = binary.LittleEndian.AppendUint64(text, uint64(len(code)))
	text = append(text, code...)
	text = binary.LittleEndian.AppendUint32(text, crc32.Checksum(code, castagnoli()))
	return append(text, "source map"...)
}

func readBack(dir string) ([]byte, error) {
	r, err := newCodeReader(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// FuzzCodeFile has any bytes come back that wazero may write, and looks at any
// bytes as a code file.
func FuzzCodeFile(f *testing.F) {
	f.Add([]byte("WAZEVO\x03dev\x01\x00\x00\x00offset88\x04\x00\x00\x00\x00\x00\x00\x00codesum_"))
	f.Add([]byte("WAZEVO"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		require.NoError(t, writeCode(dir, text))
		got, err := readBack(dir)
		require.NoError(t, err)
		require.Equal(t, string(text), string(got))
		require.NoError(t, os.WriteFile(filepath.Join(dir, codeFile), text, 0o600))
		_, _ = readBack(dir)
	})
}

// TestLoadOfDamagedMemory has no image of a memory with gaps end more than its loading:
// it is checked only meanwhile.
func TestLoadOfDamagedMemory(t *testing.T) {
	t.Parallel()
	c := newTestCompiler(t)
	dir := precompiled(t, c, wat.Must(`(memory (export "memory") 4) (data (i32.const 9) "begin") (data (i32.const 200000) "end")`))
	path := filepath.Join(dir, memoryFile)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for bit := range 8 * len(whole) {
		damaged := bytes.Clone(whole)
		damaged[bit/8] ^= 1 << (bit % 8)
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		if m, err := c.Load(t.Context(), nil, dir); err == nil {
			require.NoError(t, m.Close(t.Context()))
		}
	}
}
