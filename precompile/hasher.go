package precompile

import "crypto/sha256"

// hasher takes a SHA-256 on a goroutine of its own.
type hasher struct {
	chunks chan<- []byte // in order; they must stay as they are
	hash   <-chan [sha256.Size]byte
	shown  int // bytes
}

func newHasher() *hasher {
	chunks, hash := make(chan []byte, 16), make(chan [sha256.Size]byte, 1)
	go func() {
		h := sha256.New()
		for chunk := range chunks {
			h.Write(chunk)
		}
		hash <- [sha256.Size]byte(h.Sum(nil))
	}()
	return &hasher{chunks: chunks, hash: hash}
}

// show has it hash what it was not shown yet of what has arrived.
func (h *hasher) show(arrived []byte) {
	h.chunks <- arrived[h.shown:]
	h.shown = len(arrived)
}

// sum ends the goroutine.
func (h *hasher) sum() [sha256.Size]byte {
	close(h.chunks)
	return <-h.hash
}
