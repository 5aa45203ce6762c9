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
	made  map[uint32]wazero.CompiledModule
	users int
}

// newParts gives nil for a module that is in one piece.
func newParts(r *Runtime, source *rewrite.Parts) *parts {
	if source == nil || source.Count() == 0 {
		return nil
	}
	return &parts{runtime: r, source: source, made: map[uint32]wazero.CompiledModule{}, users: 1}
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
	for _, m := range p.made {
		errs = append(errs, m.Close(ctx))
	}
	return errors.Join(errs...)
}

// get makes a part if nobody has needed it yet.
func (p *parts) get(ctx context.Context, n uint32) (_ wazero.CompiledModule, err error) {
	defer recovered("compile", &err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if m, ok := p.made[n]; ok {
		return m, nil
	}
	m, err := p.runtime.runtime.CompileModule(ctx, p.source.Part(n))
	if err != nil {
		return nil, &engine.InvalidModuleError{Err: fmt.Errorf("compile: %w", err)}
	}
	p.made[n] = m
	return m, nil
}

// lowered are the parts of one instance.
type lowered struct {
	parts     *parts // nil for a module that is in one piece
	done      []bool // by part
	instances []api.Module
}

func newLowered(p *parts) lowered {
	if p == nil {
		return lowered{}
	}
	p.retain()
	return lowered{parts: p, done: make([]bool, p.source.Count())}
}

// add gives an instance one part more, in which a function has its code.
func (l *lowered) add(ctx context.Context, frame api.Module, n uint32) (err error) {
	if l.parts == nil || n >= uint32(len(l.done)) {
		return fmt.Errorf("the module has no part %d", n)
	}
	if l.done[n] {
		return nil
	}
	defer recovered("instantiate", &err)
	compiled, err := l.parts.get(ctx, n)
	if err != nil {
		return err
	}
	ctx = experimental.WithImportResolver(ctx, func(module string) api.Module {
		if module == rewrite.FrameModule {
			return frame
		}
		return nil
	})
	part, err := l.parts.runtime.runtime.InstantiateModule(ctx, compiled, instanceConfig())
	if err != nil {
		return fmt.Errorf("instantiate part: %w", err)
	}
	l.done[n] = true
	l.instances = append(l.instances, part)
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
