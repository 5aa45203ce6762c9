package sandbox

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
)

// What package runtime of Go draws its numbers from is a state of ChaCha8:
//
//	buf     [32]uint64 // numbers of the sequence
//	seed    [4]uint64  // of the sequence
//	i, n, c uint32     // numbers used, numbers there, blocks before
//
// It is behind math/rand, math/rand/v2, hash/maphash and the order of maps.
const (
	seedAt  = 32 * 8
	countAt = seedAt + 4*8
	stateTo = countAt + 3*4

	blockWords = 32
	blockStep  = 4 // of c, from one block to the next
	lastBlock  = 3 * blockStep
	lastWords  = blockWords - 4 // of the last block of a seed: the others are the next seed
)

// maxDecoys bounds the places that look like a state and are none. A program has next
// to none of them that does not want to keep us busy.
const maxDecoys = 1000

// generators are the places in a guest's memory where such a state lies, by proof:
// its numbers are those that its seed gives. There are none where too much looks like
// one.
func generators(memory []byte) (places []uint32) {
	decoys := 0
	for at := 0; at+stateTo <= len(memory); at += 8 {
		state := memory[at : at+stateTo]
		switch {
		case !countsLikeGenerator(state):
		case isGenerator(state):
			places = append(places, uint32(at))
		case decoys == maxDecoys:
			return nil
		default:
			decoys++
		}
	}
	return places
}

func countsLikeGenerator(state []byte) bool {
	i, n, c := word(state, 0), word(state, 1), word(state, 2)
	words := uint32(blockWords)
	if c == lastBlock {
		words = lastWords
	}
	return n == words && i <= n && c%blockStep == 0 && c <= lastBlock
}

// isGenerator is for what counts like one.
func isGenerator(state []byte) bool {
	n, c := word(state, 1), word(state, 2)
	sequence := rand.NewChaCha8([32]byte(state[seedAt:countAt]))
	for range c / blockStep * blockWords {
		sequence.Uint64()
	}
	for w := range n {
		if binary.LittleEndian.Uint64(state[8*w:]) != sequence.Uint64() {
			return false
		}
	}
	return true
}

// word is one of the counts of a state.
func word(state []byte, n int) uint32 { return binary.LittleEndian.Uint32(state[countAt+4*n:]) }

// reseed has the state at a place go on with a sequence of its own: all numbers of
// the block are used, and the next one is made of the seed.
func reseed(memory []byte, place uint32) {
	state := memory[place : place+stateTo]
	_, _ = crand.Read(state[seedAt:countAt]) // it never fails
	for n, count := range []uint32{blockWords, blockWords, 0} {
		binary.LittleEndian.PutUint32(state[countAt+4*n:], count)
	}
}

// sameSeed tells whether two memories have the same sequence at a place.
func sameSeed(a, b []byte, place uint32) bool {
	return string(a[place+seedAt:place+countAt]) == string(b[place+seedAt:place+countAt])
}
