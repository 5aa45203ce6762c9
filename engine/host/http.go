package host

import (
	"context"
	"strings"
)

// maxErrorBytes bounds the text that whisk.http_error gives.
const maxErrorBytes = 1 << 10

// httpRequest is whisk.http_request(req_ptr, req_len, body_ptr, body_len): a
// handle above 0, or a negated [Code].
func httpRequest(ctx context.Context, c call) error {
	text, err := c.bytes(0)
	if err != nil {
		return err
	}
	body, err := c.bytes(2)
	if err != nil {
		return err
	}
	x, err := c.start(ctx, text, body)
	if err != nil {
		return c.fail(ctx, err)
	}
	return c.answer(c.keep(x))
}

func (s *System) start(ctx context.Context, text, body []byte) (*exchange, error) {
	if s.config.HTTP == nil {
		return nil, &deniedError{"this action has no access to the network"}
	}
	if len(s.open) >= MaxOpen {
		return nil, errTooMany
	}
	return s.config.HTTP.open(ctx, text, body)
}

// keep gives an exchange its handle. Handles are not used twice.
func (s *System) keep(x *exchange) int32 {
	if s.open == nil {
		s.open = make(map[int32]*exchange)
	}
	s.last++
	s.open[s.last] = x
	return s.last
}

// httpHead is whisk.http_head(handle, buf, cap): the length of the head as
// JSON, which is written if it fits.
func httpHead(ctx context.Context, c call) error {
	x, ok := c.open[int32(c.arg(0))]
	if !ok {
		return c.fail(ctx, errBadHandle)
	}
	return c.give(1, x.head)
}

// httpRead is whisk.http_read(handle, buf, cap): how many bytes of the body
// were written, 0 at its end or if there is no room for any.
func httpRead(ctx context.Context, c call) error {
	x, ok := c.open[int32(c.arg(0))]
	if !ok {
		return c.fail(ctx, errBadHandle)
	}
	buf, err := c.bytes(1)
	if err != nil {
		return err
	}
	if len(buf) == 0 {
		return c.answer(0)
	}
	n, err := x.read(ctx, buf[:min(len(buf), MaxResponseBytes)])
	if err != nil {
		return c.fail(ctx, err)
	}
	return c.answer(int32(n))
}

// httpError is whisk.http_error(buf, cap): the length of the text of the last
// error, which is written if it fits.
func httpError(_ context.Context, c call) error { return c.give(0, []byte(c.err)) }

// httpClose is whisk.http_close(handle): 0, or a negated [Code].
func httpClose(ctx context.Context, c call) error {
	handle := int32(c.arg(0))
	x, ok := c.open[handle]
	if !ok {
		return c.fail(ctx, errBadHandle)
	}
	delete(c.open, handle)
	x.close()
	return c.answer(0)
}

// fail tells the guest of an error, unless its own time is over: then it stops.
func (c call) fail(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := err.Error()
	c.err = strings.ToValidUTF8(text[:min(len(text), maxErrorBytes)], "")
	return c.answer(-int32(code(err)))
}

// give writes b into the buffer that the arguments at i and i+1 name if it
// fits, and answers its length.
func (c call) give(i int, b []byte) error {
	buf, err := c.bytes(i)
	if err != nil {
		return err
	}
	if len(b) <= len(buf) {
		copy(buf, b)
	}
	return c.answer(int32(len(b)))
}
