package wazero

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

var _ engine.Holder = (*instance)(nil)

// maxReturns is how often a held instance goes back to where it is held. The
// stack that wazero goes back to is 16 bytes longer each time.
const maxReturns = 512

// held is a call of a command's _start that lasts as long as its instance does.
// It runs on a goroutine of its own, and stands still whenever the guest is held
// or has ended, until somebody calls the instance.
//
// Where the guest goes back to is a snapshot of wazero's, which serves once: the
// guest runs on the very stack that it holds. So the next one is taken as soon as
// the guest is back, and before it does anything: what it is back in is a call of
// the function that reads, which it is told to repeat, see [rewrite.Again].
type held struct {
	instance *instance
	resume   func() (struct{}, bool) // until it stands still; false when it is over
	end      func()
	park     func(struct{}) bool // false when it is to end

	starting bool                  // it was never held yet
	back     bool                  // it is about to repeat its read
	start    experimental.Snapshot // where it goes back to
	returns  int
	ended    error // how the guest ended the last time, nil if _start returned
	over     error // how the call ended
}

// heldStack is how much native stack, in bytes and by the guard's estimate, a guest
// may use where it is held: it is copied for each call.
const heldStack = 64 << 10

// startExport is what can be held.
const startExport = "_start"

// errClosed ends a guest that is held when its instance is closed.
var errClosed = errors.New("the instance is closed")

func (i *instance) Hold(ctx context.Context, export string) error {
	if why := i.unholdable(export); why != "" {
		return fmt.Errorf("%w: %s", engine.ErrNotHeld, why)
	}
	h := &held{instance: i, starting: true}
	h.resume, h.end = iter.Pull(h.call)
	i.held = h
	if err := h.proceed(ctx); err != nil {
		return err
	}
	if used := i.module.code.Guard.StackBytes - int32(i.depth.Get()); used > heldStack {
		return fmt.Errorf("%w: its calls take %d bytes of stack where it reads, more than %d", engine.ErrNotHeld, used, heldStack)
	}
	return nil
}

func (i *instance) unholdable(export string) string {
	switch code := i.module.code; {
	case code.Held == "" || export != startExport:
		return "it does not read its input by fd_read alone"
	case i.module.runtime.interprets():
		return "it is interpreted"
	case code.fixed != "":
		return code.fixed
	case i.held != nil:
		return "it is held already"
	}
	return ""
}

// call is the whole call, as a sequence of the moments at which it stands still.
func (h *held) call(yield func(struct{}) bool) {
	i := h.instance
	h.park = yield
	_, h.over = i.function(i.module.code.Held).Call(experimental.WithSnapshotter(&i.ctx))
}

// proceed has the guest run until it stands still, for a caller with ctx.
func (h *held) proceed(ctx context.Context) error {
	h.instance.begin(ctx)
	defer h.instance.ctx.end()
	if _, ok := h.resume(); !ok {
		return h.instance.ctx.classify(h.over)
	}
	return h.ended
}

// goOn is a call from where the guest is held to its end. There is no other call of
// an instance that is within one.
func (h *held) goOn(ctx context.Context, export string) error {
	if export != startExport {
		return fmt.Errorf("%w: %q of an instance that is held", engine.ErrNoExport, export)
	}
	h.back, h.ended = true, nil
	return h.proceed(ctx)
}

// enters is told of each call of a host function, before it.
func (h *held) enters(ctx context.Context) {
	if h.back {
		h.back = false
		h.start = experimental.GetSnapshotter(ctx).Snapshot()
	}
}

// stays tells whether the guest stands still rather than be stopped by what a host
// function gave.
func (h *held) stays(fn *engine.HostFunc, err error) bool {
	if h.starting {
		return errors.Is(err, engine.ErrHold) && fn.Module == rewrite.ReadModule && fn.Name == rewrite.ReadName
	}
	_, exited := errors.AsType[*engine.ExitError](err)
	return exited
}

// stay has the guest stand still, and go back to where it is held when somebody
// calls the instance.
func (h *held) stay(err error, stack []uint64) {
	h.starting, h.ended = false, err
	if errors.Is(err, engine.ErrHold) {
		h.ended = nil
	}
	if !h.park(struct{}{}) {
		h.instance.ctx.call.stop(errClosed)
	}
	if h.start == nil {
		stack[0] = again // it has not left yet
		return
	}
	start := h.start
	h.start = nil
	start.Restore([]uint64{again})
}

const again = uint64(math.MaxUint32 + 1 + rewrite.Again)

// returned is told by the guest that its _start has returned.
func (h *held) returned(stack []uint64) {
	if h.starting {
		h.instance.ctx.call.stop(fmt.Errorf("%w: it ends before it reads", engine.ErrNotHeld))
	}
	h.stay(nil, stack)
}

// reset tells whether the guest can go back once more.
func (h *held) reset() error {
	h.returns++
	switch {
	case h.over != nil:
		return h.over
	case h.returns > maxReturns:
		return errors.New("the instance was put back as often as it can be")
	}
	return nil
}

// hosted calls a host function for a guest, and stops it on an error. The context is
// the caller's: ours serves the next call after this one, and a host function may leave
// a goroutine behind that still looks at it.
func (c *call) hosted(ctx context.Context, fn *engine.HostFunc, stack []uint64) {
	h := c.instance.held
	if h != nil {
		h.enters(ctx)
	}
	err := fn.Call(c.instance.ctx.Context, c.instance.Memory(), stack)
	switch {
	case err == nil:
	case h != nil && h.stays(fn, err):
		h.stay(err, stack)
	default:
		c.stop(err)
	}
}
