package wazero_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	wazeroengine "wasmwhisk/engines/wazero"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCompiler(t *testing.T)    { enginetest.Run(t, compiler, enginetest.Options{}) }
func TestInterpreter(t *testing.T) { enginetest.Run(t, interpreter, enginetest.Options{}) }

func compiler(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazeroengine.NewCompiler(ctx, config)
}

func interpreter(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	return wazeroengine.NewInterpreter(ctx, config)
}
