package fetch

import (
	"context"
	"io"
	"runtime"
	"unsafe"
)

//go:wasmimport whisk http_request
func httpRequest(req unsafe.Pointer, reqLen uint32, body unsafe.Pointer, bodyLen uint32) int32

//go:wasmimport whisk http_head
func httpHead(handle int32, buf unsafe.Pointer, size uint32) int32

//go:wasmimport whisk http_read
func httpRead(handle int32, buf unsafe.Pointer, size uint32) int32

//go:wasmimport whisk http_error
func httpError(buf unsafe.Pointer, size uint32) int32

//go:wasmimport whisk http_close
func httpClose(handle int32) int32

func do(ctx context.Context, req Request) (*Response, error) {
	text, err := req.encode(ctx)
	if err != nil {
		return nil, err
	}
	handle := httpRequest(pointer(text), size(text), pointer(req.Body), size(req.Body))
	runtime.KeepAlive(text)
	runtime.KeepAlive(req.Body)
	if handle < 0 {
		return nil, hostError(ctx, handle)
	}
	b := &body{ctx, handle}
	head, err := b.head()
	if err != nil {
		_ = b.Close() // the first error is the one to report
		return nil, err
	}
	return &Response{Status: head.Status, Header: head.Header, Body: b}, nil
}

// body is an open response at the host.
type body struct {
	ctx    context.Context //nolint:containedctx // tells a deadline from other errors in Read
	handle int32
}

func (b *body) head() (wireHead, error) {
	text, code := sized(func(buf []byte) int32 { return httpHead(b.handle, pointer(buf), size(buf)) })
	if code < 0 {
		return wireHead{}, hostError(b.ctx, code)
	}
	return decodeHead(text)
}

func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := httpRead(b.handle, pointer(p), size(p))
	runtime.KeepAlive(p)
	if n < 0 {
		return 0, hostError(b.ctx, n)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return int(n), nil
}

func (b *body) Close() error {
	if code := httpClose(b.handle); code < 0 && Code(-code) != BadHandle {
		return hostError(b.ctx, code)
	}
	return nil
}

// hostError gives a negated code its text.
func hostError(ctx context.Context, code int32) error {
	text, _ := sized(func(buf []byte) int32 { return httpError(pointer(buf), size(buf)) })
	if Code(-code) == Timeout {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return &Error{Code: Code(-code), Text: string(text)}
}

// sized gets bytes from a function of the host that answers how many there are,
// and writes them if there is room. A negative answer comes back as it is.
func sized(get func(buf []byte) int32) ([]byte, int32) {
	buf := make([]byte, 1<<10)
	for {
		n := get(buf)
		if n < 0 {
			return nil, n
		}
		if int(n) <= len(buf) {
			return buf[:n], 0
		}
		buf = make([]byte, n)
	}
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func size(b []byte) uint32 { return uint32(len(b)) }
