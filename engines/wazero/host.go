package wazero

import (
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine"
	"wasmwhisk/engine/rewrite"
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
	builders[rewrite.ReservedModule] = r.guard()
	for name, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return fmt.Errorf("instantiate host module %q: %w", name, err)
		}
	}
	return nil
}

// adapt gives a host function the memory of the instance that is being called,
// and stops the guest on its error, or has it held. Whom wazero names as the caller does not
// matter: where an export is itself a host function that is the host's module.
func adapt(fn engine.HostFunc) api.GoModuleFunc {
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		c := callOf(ctx)
		c.giveTurn()
		c.hosted(ctx, &fn, stack)
	}
}

func valueTypes(types []engine.ValueType) []api.ValueType {
	out := make([]api.ValueType, len(types))
	for i, t := range types {
		out[i] = api.ValueType(t)
	}
	return out
}
