package sandbox

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// generatorState is a state in a block of the sequence of a seed, with so many
// numbers used.
func generatorState(seed byte, block, used uint32) []byte {
	state := make([]byte, stateTo)
	state[seedAt] = seed
	sequence := rand.NewChaCha8([32]byte(state[seedAt:countAt]))
	for range block * blockWords {
		sequence.Uint64()
	}
	words := uint32(blockWords)
	if block == 3 {
		words = lastWords
	}
	for w := range words {
		binary.LittleEndian.PutUint64(state[8*w:], sequence.Uint64())
	}
	for n, count := range []uint32{used, words, block * blockStep} {
		binary.LittleEndian.PutUint32(state[countAt+4*n:], count)
	}
	return state
}

func TestGeneratorsAreFoundByProof(t *testing.T) {
	t.Parallel()
	memory := make([]byte, 8<<10)
	var want []uint32
	for block := range uint32(4) {
		for _, used := range []uint32{0, 28} {
			at := 1000 * (2*block + used/28)
			copy(memory[at:], generatorState(byte(block), block, used))
			want = append(want, at)
		}
	}
	assert.Equal(t, want, generators(memory))
	for _, wrong := range []int{0, 27 * 8, seedAt, countAt + 4, countAt + 8} {
		memory[3000+wrong] ^= 1
		assert.NotContains(t, generators(memory), uint32(3000), "byte %d is another", wrong)
		memory[3000+wrong] ^= 1
	}
	assert.Empty(t, generators(make([]byte, 4096)))
	assert.Empty(t, generators(nil))
	assert.Empty(t, generators(generatorState(1, 0, 0)[:stateTo-1]))
	assert.Empty(t, generators(generatorState(1, 0, 33)))
}

// A memory full of what looks like generators keeps nobody busy: none is forked.
func TestDecoysOfGenerators(t *testing.T) {
	t.Parallel()
	memory := append(generatorState(1, 0, 0), make([]byte, 8-stateTo%8)...)
	for range 2 * maxDecoys {
		memory = append(memory, 8, 0, 0, 0, blockWords, 0, 0, 0)
	}
	assert.Empty(t, generators(memory))
	assert.Equal(t, []uint32{0}, generators(memory[:stateTo+8*maxDecoys/2]))
}

func TestReseededGeneratorsAreSpent(t *testing.T) {
	t.Parallel()
	a, b := generatorState(1, 2, 5), generatorState(1, 2, 5)
	assert.True(t, sameSeed(a, b, 0))
	reseed(a, 0)
	assert.False(t, sameSeed(a, b, 0))
	assert.Equal(t, []uint32{32, 32, 0}, []uint32{word(a, 0), word(a, 1), word(a, 2)})
	assert.Equal(t, b[:seedAt], a[:seedAt], "its numbers, which are all used")
}
