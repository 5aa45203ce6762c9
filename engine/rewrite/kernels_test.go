package rewrite_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"lukechampine.com/blake3"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/guest/guesttest"
)

func cKernels(t testing.TB) []byte { return guesttest.BuildC(t, "testdata/c/kernels.c") }

// pair instantiates a binary as it is and under guard.
func pair(t testing.TB, binary []byte) (plain, under *subject) {
	t.Helper()
	ctx := context.Background()
	result, err := rewrite.Rewrite(binary, rewrite.Options{Guard: true, LazyTables: rewrite.ManyElements})
	require.NoError(t, err)
	start := func(binary []byte, guard *rewrite.Guard) *subject {
		r := newRuntime(t, wazero.NewRuntimeConfigCompiler())
		wasi_snapshot_preview1.MustInstantiate(ctx, r)
		g, err := instantiate(ctx, r, binary, guard)
		require.NoError(t, err)
		if g.ExportedFunction("_initialize") != nil {
			_, err = g.call(ctx, "_initialize")
			require.NoError(t, err)
		}
		return g
	}
	return start(binary, nil), start(result.Binary, result.Guard)
}

// ask calls an export that gives one number.
func ask(t *testing.T, g *subject, export string, args ...uint64) uint32 {
	t.Helper()
	results, err := g.call(t.Context(), export, args...)
	require.NoError(t, err, export)
	require.Len(t, results, 1, export)
	return uint32(results[0])
}

// TestKernels sees to it that what BenchmarkGuard measures in C is the work that
// it says, with and without guard.
func TestKernels(t *testing.T) {
	t.Parallel()
	plain, under := pair(t, cKernels(t))
	document := cString(t, plain, ask(t, plain, "json_text"))
	for _, k := range []struct {
		export  string
		n, want uint32
	}{
		{"sieve", 2, 82_025}, // primes below 2^20
		{"fib", 20, 6_765},
		{"sort", 2, sorted(2)},
		{"matmul", 1, multiplied()},
		{"blake3", 3, hashedAgain(3, blake3.Sum256)},
		{"sha256", 3, hashedAgain(3, sha256.Sum256)},
		{"json", 2, 32 * jsonChecksum(t, document)}, // of two: one times 31, and the other
	} {
		assert.Equal(t, k.want, ask(t, plain, k.export, uint64(k.n)), "%s(%d)", k.export, k.n)
		assert.Equal(t, k.want, ask(t, under, k.export, uint64(k.n)), "%s(%d) under guard", k.export, k.n)
	}
}

func TestKernelBLAKE3(t *testing.T) {
	t.Parallel()
	plain, under := pair(t, cKernels(t))
	digest := func(g *subject, size int) string {
		sum, ok := g.Memory().Read(ask(t, g, "blake3_of", uint64(size)), 32)
		require.True(t, ok)
		return hex.EncodeToString(sum)
	}
	assert.Equal(t, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262", digest(plain, 0))
	data := make([]byte, 8192)
	for i := range data {
		data[i] = byte(i % 251)
	}
	for _, size := range []int{0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3073, 4096, 5121, 7168, 8192} {
		sum := blake3.Sum256(data[:size])
		assert.Equal(t, hex.EncodeToString(sum[:]), digest(plain, size), "%d bytes", size)
		assert.Equal(t, hex.EncodeToString(sum[:]), digest(under, size), "%d bytes under guard", size)
	}
}

func TestKernelJSON(t *testing.T) {
	t.Parallel()
	plain, under := pair(t, cKernels(t))
	for _, text := range []string{
		`null`, ` true `, `false`, `0`, `-0`, `-1.25e-3`, `1E+9`, `0.1`, `3.141592653589793238`, `1e300`, `9007199254740993`,
		`""`, `"a\"\\\/\b\f\n\r\t"`, `"\u0041\u00e9\u20AC\uD83D\uDE80"`, `"\ud83d\u0041\ude80\ud83d"`, `"é🚀"`,
		`[]`, `[ ]`, `{}`, `[1,[2,{"a":[]}],{}]`, `{"a":1,"a":{"b":null}}`, strings.Repeat("[", 64) + strings.Repeat("]", 64),
		``, ` `, `nul`, `truer`, `01`, `-`, `+1`, `1.`, `.5`, `1e`, `1e+`, `0x1`, `"`, `"\`, `"\x"`, `"\u12g4"`, `"\u12`, "\"\n\"", "\"a\x00\"",
		`[`, `[1`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a":1]`, `1 2`, "1\x00",
	} {
		want := jsonChecksum(t, text)
		for _, g := range []*subject{plain, under} {
			require.True(t, g.Memory().WriteString(ask(t, g, "json_room"), text))
			assert.Equal(t, want, ask(t, g, "json_sum", uint64(len(text))), "%q", text)
		}
	}
}

func cString(t *testing.T, g *subject, at uint32) string {
	t.Helper()
	rest, ok := g.Memory().Read(at, g.Memory().Size()-at)
	require.True(t, ok)
	text, _, ok := bytes.Cut(rest, []byte{0})
	require.True(t, ok)
	return string(text)
}

func sorted(n int) uint32 {
	numbers := make([]uint32, 10_000)
	x, sum := uint32(1), uint32(0)
	for range n {
		for i := range numbers {
			x = x*1664525 + 1013904223
			numbers[i] = x >> 8
		}
		slices.Sort(numbers)
		for _, number := range numbers {
			sum = sum*31 + number
		}
	}
	return sum
}

func multiplied() uint32 {
	const size = 128
	sum := uint32(0)
	for i := range size {
		for j := range size {
			element := 0
			for k := range size {
				element += i * k % 7 * ((k + j) % 5)
			}
			sum = sum*31 + uint32(element)
		}
	}
	return sum
}

func hashedAgain(n int, hash func([]byte) [32]byte) uint32 {
	data := make([]byte, 4096)
	for range n {
		sum := hash(data)
		copy(data, sum[:])
	}
	return binary.LittleEndian.Uint32(data)
}

// jsonChecksum is that of the C kernel, 0 for what is not JSON.
func jsonChecksum(t *testing.T, text string) uint32 {
	t.Helper()
	if !json.Valid([]byte(text)) {
		return 0
	}
	sum := fnv.New32a()
	d := json.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return sum.Sum32()
		}
		require.NoError(t, err, text)
		sum.Write(tokenBytes(token))
	}
}

// tokenBytes gives the character by which the C kernel knows a token, and what it
// says.
func tokenBytes(token json.Token) []byte {
	switch token := token.(type) {
	case json.Delim:
		return []byte{byte(token)}
	case string:
		return append([]byte{'"'}, token...)
	case float64:
		return binary.LittleEndian.AppendUint64([]byte{'0'}, math.Float64bits(token))
	case bool:
		if token {
			return []byte{'t'}
		}
		return []byte{'f'}
	}
	return []byte{'n'}
}
