package wazero

import (
	"context"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"wasmwhisk/engine"
)

// instantiateHostModules makes the host functions importable. wazero knows
// functions only as members of modules.
func (r *Runtime) instantiateHostModules(ctx context.Context) error {
	builders := map[string]wazero.HostModuleBuilder{}
	seen := map[string]bool{}
	for _, fn := range r.config.HostFuncs {
		full := fn.Module + "." + fn.Name
		if seen[full] {
			return fmt.Errorf("host function %s is given twice", full)
		}
		seen[full] = true
		if builders[fn.Module] == nil {
			builders[fn.Module] = r.runtime.NewHostModuleBuilder(fn.Module)
		}
		builders[fn.Module].NewFunctionBuilder().
			WithGoModuleFunction(adapt(fn), valueTypes(fn.Type.Params), valueTypes(fn.Type.Results)).
			Export(fn.Name)
	}
	for name, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("instantiate host module %q: %w", name, err)
		}
	}
	return nil
}

// adapt gives a host function its memory, and stops the guest on its error.
func adapt(fn engine.HostFunc) api.GoModuleFunc {
	return func(ctx context.Context, mod api.Module, stack []uint64) {
		c := ctx.Value(callKey{}).(*call)
		if err := fn.Call(ctx, c.memory(mod), stack); err != nil {
			c.stop(err)
		}
	}
}

// view is the whole of a memory. A length of 4 GiB does not fit wazero's
// uint32: of such a memory the last byte is out of reach for host functions.
func view(m api.Memory) engine.Memory {
	if b, ok := m.Read(0, m.Size()); ok && len(b) > 0 {
		return b
	}
	if pages, _ := m.Grow(0); pages == engine.MaxPages {
		b, _ := m.Read(0, math.MaxUint32)
		return b
	}
	return nil
}

// call is the state of one call into a guest. Host functions find it through
// the context.
type call struct {
	module   *module
	instance api.Module // nil while its start function runs
	stopped  error
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// memory is the caller's, if it exports one. wazero would also hand out one
// that is not exported, and gives a typed nil where there is none.
func (c *call) memory(caller api.Module) engine.Memory {
	if !c.module.exportsMemory {
		return nil
	}
	// Where the export or the start function is itself a host function, wazero
	// passes the host module. Only guests have no name.
	if caller.Name() != "" {
		caller = c.instance
	}
	if caller == nil {
		return nil
	}
	return view(caller.Memory())
}

// stop ends the running guest. Unlike any other panic an exit is passed on by
// wazero without rendering the guest's stack.
func (c *call) stop(err error) {
	c.stopped = err
	panic(sys.NewExitError(sys.ExitCodeContextCanceled))
}

func valueTypes(types []engine.ValueType) []api.ValueType {
	out := make([]api.ValueType, len(types))
	for i, t := range types {
		out[i] = api.ValueType(t)
	}
	return out
}
