package wazero

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// parts are the functions of an interpreted module that were called by now, or
// are likely to be: all of them would take longer than most guests run on it.
// They are kept as long as the module or one of its instances is used.
type parts struct {
	runtime *Runtime
	source  *rewrite.Parts
	likely  []*part
	bytes   atomic.Uint64 // that parts take beside their functions

	mu    sync.Mutex
	made  map[uint32]*part // by function
	users int
}

// part is the code of some functions.
type part struct {
	functions []uint32
	making    atomic.Bool
	code      func() (wazero.CompiledModule, error) // makes it the first time
	closed    atomic.Bool                           // it is not to be made any more
}

// partFactor is how much larger than its binary a part is in memory, by measurement
// with many types: each part repeats them all.
const partFactor = 16

// Code that is made or validated at once: less costs more, more takes longer when
// somebody waits for it.
const (
	aheadBytes  = 128 << 10
	sampleBytes = 512 << 10
)

// newParts gives nil for a module that is in one piece.
func newParts(r *Runtime, source *rewrite.Parts) *parts {
	if source.Count() == 0 {
		return nil
	}
	p := &parts{runtime: r, source: source, made: map[uint32]*part{}, users: 1}
	for _, functions := range p.divide(r.forecast.of(source), aheadBytes) {
		p.likely = append(p.likely, p.part(functions))
	}
	return p
}

// divide makes lists of functions that have about so much code together.
func (p *parts) divide(functions []uint32, size int) (lists [][]uint32) {
	from, taken := 0, 0
	for i, f := range functions {
		if taken += p.source.CodeBytes(f); taken >= size {
			lists = append(lists, functions[from:i+1])
			from, taken = i+1, 0
		}
	}
	if from < len(functions) {
		lists = append(lists, functions[from:])
	}
	return lists
}

// unsure are the functions that an engine has to judge, in lists that are worth a sample
// each, which repeats all of the module but the code.
func (p *parts) unsure() [][]uint32 {
	var functions []uint32
	for n := range p.source.Count() {
		if !p.source.Sound(n) {
			functions = append(functions, n)
		}
	}
	if functions == nil {
		return nil
	}
	return p.divide(functions, max(sampleBytes, len(p.source.Sample(nil))))
}

func (p *parts) part(functions []uint32) *part {
	made := &part{functions: functions}
	made.code = sync.OnceValues(func() (wazero.CompiledModule, error) {
		if made.closed.Load() {
			return nil, errUnused
		}
		made.making.Store(true)
		defer made.making.Store(false)
		return p.compile(functions)
	})
	for _, f := range functions {
		p.made[f] = made
	}
	return made
}

func (p *parts) compile(functions []uint32) (_ wazero.CompiledModule, err error) {
	defer recovered("compile", &err)
	binary := p.source.Part(functions)
	if n := p.bytes.Add(partFactor * uint64(len(binary))); n > interpretedBytes {
		return nil, tooMuch("interpreted code", "bytes", interpretedBytes, n)
	}
	compiled, err := p.runtime.runtime.CompileModule(context.Background(), binary)
	if err != nil {
		return nil, &engine.InvalidModuleError{Err: fmt.Errorf("compile: %w", err)}
	}
	return compiled, nil
}

// get gives the part with a function, which is one of its own if it was not likely
// to be called.
func (p *parts) get(n uint32) *part {
	p.mu.Lock()
	defer p.mu.Unlock()
	if made, ok := p.made[n]; ok {
		return made
	}
	p.runtime.forecast.add(p.source.Shape(n))
	return p.part([]uint32{n})
}

func (p *parts) retain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users++
}

// release is for nothing where a module is in one piece.
func (p *parts) release(ctx context.Context) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	if p.users > 0 {
		return nil
	}
	var errs []error
	for n, part := range p.made {
		if n == part.functions[0] {
			errs = append(errs, part.close(ctx))
		}
	}
	return errors.Join(errs...)
}

var errUnused = errors.New("nobody uses the module any more")

// close makes nothing only to close it.
func (p *part) close(ctx context.Context) error {
	p.closed.Store(true)
	if code, err := p.code(); err == nil {
		return code.Close(ctx)
	}
	return nil
}

// lowered are the parts of one instance.
type lowered struct {
	parts     *parts // nil for a module that is in one piece
	done      []bool // by function
	instances []api.Module
}

func newLowered(p *parts) lowered {
	if p == nil {
		return lowered{}
	}
	p.retain()
	return lowered{parts: p, done: make([]bool, p.source.Count())}
}

// add gives an instance the part more in which a function has its code.
func (l *lowered) add(ctx context.Context, frame api.Module, n uint32, valid *validity) (err error) {
	if l.parts == nil || n >= uint32(len(l.done)) {
		return fmt.Errorf("the module has no function %d", n)
	}
	if l.done[n] {
		return nil
	}
	part := l.parts.get(n)
	for part.making.Load() && valid.doOne() { //nolint:revive // there is something else to do until it is made
	}
	code, err := part.code()
	if err != nil {
		return err
	}
	inst, err := l.instantiate(ctx, frame, code)
	if err != nil {
		return fmt.Errorf("instantiate part: %w", err)
	}
	for _, f := range part.functions {
		l.done[f] = true
	}
	l.instances = append(l.instances, inst)
	return nil
}

// instantiate makes an instance for one frame, whose tables it finds its way into.
func (l *lowered) instantiate(ctx context.Context, frame api.Module, code wazero.CompiledModule) (_ api.Module, err error) {
	defer recovered("instantiate", &err)
	ctx = experimental.WithImportResolver(ctx, func(module string) api.Module {
		if module == rewrite.FrameModule {
			return frame
		}
		return nil
	})
	return l.parts.runtime.runtime.InstantiateModule(ctx, code, instanceConfig())
}

// close follows the closing of the frame's instance.
func (l *lowered) close(ctx context.Context) error {
	if l.parts == nil {
		return nil
	}
	var errs []error
	for _, m := range l.instances {
		errs = append(errs, m.Close(ctx))
	}
	return errors.Join(append(errs, l.parts.release(ctx))...)
}

// lower is called by a guest that comes to a function for the first time. A guest
// that does nothing else must not outrun its deadline.
func lower(ctx context.Context, _ api.Module, stack []uint64) {
	c := callOf(ctx)
	c.look(ctx)
	i := c.instance
	if err := i.lowered.add(context.WithoutCancel(i.ctx.Context), i.mod, uint32(stack[0]), i.module.valid); err != nil {
		c.stop(err)
	}
}
