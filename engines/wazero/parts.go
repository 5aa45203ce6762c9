package wazero

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
)

// parts are the functions of an interpreted module that were called by now: all
// of them would take longer than most guests run on it. They are kept as long as
// the module or one of its instances is used.
type parts struct {
	runtime *Runtime
	source  *rewrite.Parts

	mu    sync.Mutex
	made  map[uint32]*part // by function
	users int
}

// part is the code of one function and others that it calls.
type part struct {
	functions []uint32
	compiled  wazero.CompiledModule
}

// newParts gives nil for a module that is in one piece.
func newParts(r *Runtime, source *rewrite.Parts) *parts {
	if source == nil || source.Count() == 0 {
		return nil
	}
	return &parts{runtime: r, source: source, made: map[uint32]*part{}, users: 1}
}

func (p *parts) retain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users++
}

func (p *parts) release(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	if p.users > 0 {
		return nil
	}
	var errs []error
	for n, part := range p.made {
		if n == part.functions[0] {
			errs = append(errs, part.compiled.Close(ctx))
		}
	}
	return errors.Join(errs...)
}

// get gives the part with a function, which it makes if nobody has needed it yet.
func (p *parts) get(ctx context.Context, n uint32) (_ *part, err error) {
	defer recovered("compile", &err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if made, ok := p.made[n]; ok {
		return made, nil
	}
	made := &part{functions: p.source.Group(n, p.missing)}
	made.compiled, err = p.runtime.runtime.CompileModule(ctx, p.source.Part(made.functions))
	if err != nil {
		return nil, &engine.InvalidModuleError{Err: fmt.Errorf("compile: %w", err)}
	}
	for _, f := range made.functions {
		p.made[f] = made
	}
	return made, nil
}

func (p *parts) missing(n uint32) bool { return p.made[n] == nil }

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
func (l *lowered) add(ctx context.Context, frame api.Module, n uint32) (err error) {
	if l.parts == nil || n >= uint32(len(l.done)) {
		return fmt.Errorf("the module has no function %d", n)
	}
	if l.done[n] {
		return nil
	}
	defer recovered("instantiate", &err)
	part, err := l.parts.get(ctx, n)
	if err != nil {
		return err
	}
	ctx = experimental.WithImportResolver(ctx, func(module string) api.Module {
		if module == rewrite.FrameModule {
			return frame
		}
		return nil
	})
	inst, err := l.parts.runtime.runtime.InstantiateModule(ctx, part.compiled, instanceConfig())
	if err != nil {
		return fmt.Errorf("instantiate part: %w", err)
	}
	for _, f := range part.functions {
		l.done[f] = true
	}
	l.instances = append(l.instances, inst)
	return nil
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

// lower is called by a guest that comes to a function for the first time. What
// ends the guest meanwhile, the function notices.
func lower(ctx context.Context, _ api.Module, stack []uint64) {
	c := callOf(ctx)
	i := c.instance
	if err := i.lowered.add(context.WithoutCancel(i.ctx.Context), i.mod, uint32(stack[0])); err != nil {
		c.stop(err)
	}
}
