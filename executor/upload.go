package executor

import (
	"bytes"
	"io"
	"net/http"
	"sync"

	"wasmwhisk/internal/bodies"
	"wasmwhisk/precompile"
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

// receive reads a body of at most limit bytes. Of a large one begun sees how it begins,
// before the rest has come.
func (r *receiver) receive(req *http.Request, limit int64, begun func(part []byte)) (received, error) {
	taken, err := r.uploads.Reserve(req.ContentLength, limit)
	if err != nil {
		return received{}, err
	}
	b := received{from: r, taken: taken}
	if err := b.read(req, limit, begun); err != nil {
		b.free()
		return received{}, err
	}
	return b, nil
}

func (b *received) read(req *http.Request, limit int64, begun func(part []byte)) (err error) {
	if n := req.ContentLength; n < 0 || n > smallBytes {
		b.body, err = bodies.Read(req.Body, n, limit, begun)
		return err
	}
	b.small = b.from.small.Get().(*[smallBytes]byte)
	b.body = b.small[:req.ContentLength]
	_, err = io.ReadFull(req.Body, b.body)
	return bodies.Broken(err)
}

// upload is the body of an /init.
type upload struct {
	received
	stop func() // keeping the module that it will probably need
}

func (u *upload) free() {
	u.stop()
	u.received.free()
}

// receiveUpload reads a body that may bring code. The module that code had before which
// began so is loaded while the rest arrives.
func (e *Executor) receiveUpload(req *http.Request) (u upload, err error) {
	u.stop = func() {}
	u.received, err = e.receiver.receive(req, e.config.Limits.initBytes(), func(part []byte) {
		if code, ok := codeBeginning(part); ok {
			u.stop = e.maker.Prefetch(req.Context(), code)
		}
	})
	if err != nil {
		u.stop()
	}
	return u, err
}

// codeBeginning finds how the code begins in the beginning of a body. It is a guess, by
// which nothing is done but work in advance.
func codeBeginning(part []byte) (code []byte, ok bool) {
	_, after, _ := bytes.Cut(part, []byte(`"code"`))
	code, ok = bytes.CutPrefix(bytes.TrimLeft(after, ": \t\r\n"), []byte(`"`))
	if !ok || len(code) < precompile.BeginningBytes {
		return nil, false
	}
	return code[:precompile.BeginningBytes], true
}
