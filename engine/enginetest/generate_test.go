package enginetest_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/enginetest"
	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for i := range uint64(300) {
		random := rand.New(rand.NewPCG(i, 0))
		seed := make([]byte, random.IntN(1000))
		for j := range seed {
			seed[j] = byte(random.Uint32())
		}
		source := enginetest.Generate(seed)
		assert.Equal(t, source, enginetest.Generate(seed), "of equal seeds")
		binary, err := wat.Compile(source)
		require.NoError(t, err, source)
		_, err = rewrite.Rewrite(binary, rewrite.Options{TableElements: 100})
		require.NoError(t, err, source)
		all.WriteString(source)
	}
	for _, instruction := range []string{"i64.rem_s", "memory.copy", "call_indirect", "br_table", "i32.load16_s", "f64.nearest", "i64.trunc_sat_f64_u", "return"} {
		assert.Contains(t, all.String(), "("+instruction, "something of everything")
	}
}
