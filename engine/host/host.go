// Package host holds the functions beyond WASI that a guest may import: module
// "whisk" (outbound HTTP, log, deadline) and the "http.get" of ow-wasm-action.
//
// The functions are the same for every engine and every activation. What one
// activation may do with them is in its [System], found in the context of the
// guest's call. HTTP goes through a [Client], which enforces a [Policy] on
// names, on resolved addresses and on redirects.
//
// Guests are hostile: a pointer outside the guest's memory stops the guest with
// a trap, every size and count is bounded, and what a guest cannot have is an
// error code whose text it reads with whisk.http_error.
package host

import (
	"context"
	"time"

	"wasmwhisk/engine"
)

// The modules that the functions are imported from.
const (
	Module    = "whisk"
	WowModule = "http"
)

// CapabilityNet names the capability that outbound requests need.
const CapabilityNet = "net"

// MaxLogBytes bounds one message of whisk.log; what is longer is cut.
const MaxLogBytes = 64 << 10

// wowDelay is how long http.get takes in ow-wasm-action, where it stands for a
// request to a slow service.
const wowDelay = 300 * time.Millisecond

// Level is the severity of a guest's message, in the numbers of the ABI.
type Level uint32

// The levels; a guest's number above LevelError counts as LevelError.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

func (l Level) String() string {
	switch l {
	case LevelDebug:
		return "debug"
	case LevelInfo:
		return "info"
	case LevelWarn:
		return "warn"
	default:
		return "error"
	}
}

// Config is what one activation may do. The zero value grants nothing.
type Config struct {
	// HTTP sends the requests of the guest; nil refuses them all. It is shared
	// between activations and stays its owner's.
	HTTP *Client

	// Log takes a message of at most MaxLogBytes; it must not keep msg. Nil
	// drops messages.
	Log func(level Level, msg []byte)

	// Deadline is what whisk.deadline answers; the zero time is 0.
	Deadline time.Time
}

// System is the state of one activation. Like the guest that it serves, it is
// used by one goroutine at a time.
type System struct {
	config  Config
	open    map[int32]*exchange
	last    int32
	err     string
	called  bool
	reached bool
}

// NewSystem makes the state of one activation. Its owner closes it.
func NewSystem(c Config) *System { return &System{config: c} }

// Reset makes a system that was closed, or the zero System, that of another
// activation: nothing of the last one is left. Nobody may still use it for that.
func (s *System) Reset(c Config) { *s = System{config: c} }

// Close ends the exchanges that the guest left open. It may be called twice.
func (s *System) Close() {
	for handle, x := range s.open {
		x.close()
		delete(s.open, handle)
	}
}

// Called tells whether the guest has called any function so far.
func (s *System) Called() bool { return s.called }

// Reached tells whether the guest has called a function that needs a capability:
// one whose effects outlast the activation. Of a guest that has, others may ask.
func (s *System) Reached() bool { return s.reached }

func (s *System) note(capability string) {
	s.called = true
	if capability != "" && !s.reached {
		s.reached = true
	}
}

type contextKey struct{}

// NewContext gives a context in which the host functions serve s.
func NewContext(ctx context.Context, s *System) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}

// fromContext gives calls outside an activation, such as those of a trial start,
// a system that grants nothing.
func fromContext(ctx context.Context) *System {
	if s, ok := ctx.Value(contextKey{}).(*System); ok {
		return s
	}
	return NewSystem(Config{})
}

// Functions lists every function of this package, for an engine's configuration.
func Functions() []engine.HostFunc {
	fns := table()
	out := make([]engine.HostFunc, len(fns))
	for i, f := range fns {
		out[i] = f.HostFunc
	}
	return out
}

// Capability names the capability that an import needs. It is empty for
// functions that need none and for those of other packages.
func Capability(module, name string) string {
	for _, f := range table() {
		if f.Module == module && f.Name == name {
			return f.capability
		}
	}
	return ""
}

// function is a host function and the capability that importing it needs.
type function struct {
	engine.HostFunc
	capability string
}

func table() []function {
	i32, i64 := engine.I32, engine.I64
	return []function{
		define(Module, "http_request", CapabilityNet, httpRequest, []engine.ValueType{i32, i32, i32, i32}, i32),
		define(Module, "http_head", CapabilityNet, httpHead, []engine.ValueType{i32, i32, i32}, i32),
		define(Module, "http_read", CapabilityNet, httpRead, []engine.ValueType{i32, i32, i32}, i32),
		define(Module, "http_error", CapabilityNet, httpError, []engine.ValueType{i32, i32}, i32),
		define(Module, "http_close", CapabilityNet, httpClose, []engine.ValueType{i32}, i32),
		define(Module, "log", "", log, []engine.ValueType{i32, i32, i32}),
		define(Module, "deadline", "", deadline, nil, i64),
		define(WowModule, "get", CapabilityNet, wowGet, nil, i32),
	}
}

// call is one call of a guest: its arguments in, its result out.
type call struct {
	*System
	mem   engine.Memory
	stack []uint64
}

func (c call) arg(i int) uint32 { return uint32(c.stack[i]) }

func (c call) answer(v int32) error {
	c.stack[0] = uint64(uint32(v))
	return nil
}

// bytes is the memory that the arguments at i and i+1 name.
func (c call) bytes(i int) ([]byte, error) {
	b, err := c.mem.Range(c.arg(i), c.arg(i+1))
	if err != nil {
		return nil, &engine.TrapError{Kind: engine.TrapMemoryOutOfBounds, Detail: err.Error()}
	}
	return b, nil
}

func define(module, name, capability string, fn func(context.Context, call) error, params []engine.ValueType, results ...engine.ValueType) function {
	return function{
		HostFunc: engine.HostFunc{
			Module: module,
			Name:   name,
			Type:   engine.FuncType{Params: params, Results: results},
			Call: func(ctx context.Context, mem engine.Memory, stack []uint64) error {
				s := fromContext(ctx)
				s.note(capability)
				return fn(ctx, call{s, mem, stack})
			},
		},
		capability: capability,
	}
}

func log(_ context.Context, c call) error {
	msg, err := c.bytes(1)
	if err != nil || c.config.Log == nil {
		return err
	}
	c.config.Log(min(Level(c.arg(0)), LevelError), msg[:min(len(msg), MaxLogBytes)])
	return nil
}

func deadline(_ context.Context, c call) error {
	c.stack[0] = 0
	if d := c.config.Deadline; !d.IsZero() {
		c.stack[0] = uint64(d.UnixMilli())
	}
	return nil
}

func wowGet(ctx context.Context, c call) error {
	timer := time.NewTimer(wowDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return c.answer(0)
	}
}
