package executor

import (
	"io"
	"net/http"
	"sync"

	"wasmwhisk/internal/bodies"
)

// smallBytes is up to where bodies are read into memory that is used again.
const smallBytes = 16 << 10

// receiver reads request bodies within limits. Their time is the server's doing.
type receiver struct {
	uploads *bodies.Budget
	small   sync.Pool // of *[smallBytes]byte
}

func newReceiver(bytes int64) *receiver {
	return &receiver{
		uploads: bodies.NewBudget(bytes),
		small:   sync.Pool{New: func() any { return new([smallBytes]byte) }},
	}
}

// received is a body. It must be freed when nothing refers to it any more.
type received struct {
	body  []byte
	from  *receiver
	taken int64             // of the uploads
	small *[smallBytes]byte // that the body lies in, or nil
}

func (b *received) free() {
	b.from.uploads.Release(b.taken)
	if b.small != nil {
		b.from.small.Put(b.small)
	}
}

// receive reads a body of at most limit bytes.
func (r *receiver) receive(req *http.Request, limit int64) (received, error) {
	taken, err := r.uploads.Reserve(req.ContentLength, limit)
	if err != nil {
		return received{}, err
	}
	b := received{from: r, taken: taken}
	if err := b.read(req, limit); err != nil {
		b.free()
		return received{}, err
	}
	return b, nil
}

func (b *received) read(req *http.Request, limit int64) (err error) {
	if n := req.ContentLength; n < 0 || n > smallBytes {
		b.body, err = bodies.Read(req.Body, n, limit)
		return err
	}
	b.small = b.from.small.Get().(*[smallBytes]byte)
	b.body = b.small[:req.ContentLength]
	_, err = io.ReadFull(req.Body, b.body)
	return bodies.Broken(err)
}
