package wazero_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/enginetest"
	"wasmwhisk/engine/sandbox"
	wazeroengine "wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

// throughArtefacts is a compiler that runs nothing but what it loaded: whatever
// holds for modules that were compiled must hold for those.
type throughArtefacts struct{ *wazeroengine.Compiler }

func (a throughArtefacts) Compile(ctx context.Context, binary []byte) (_ engine.Module, err error) {
	dir, err := os.MkdirTemp("", "artefact-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := a.Precompile(ctx, binary, dir); err != nil {
		return nil, err
	}
	return a.Load(ctx, nil, dir)
}

func loading(ctx context.Context, config engine.Config) (engine.WasmRuntime, error) {
	c, err := wazeroengine.NewCompiler(ctx, config)
	return throughArtefacts{c}, err
}

func TestLoaded(t *testing.T) { enginetest.Run(t, loading, enginetest.Options{}) }

func FuzzLoadedEqualsCompiled(f *testing.F) { enginetest.FuzzSame(f, compiler, loading) }

// TestLoadedExamples runs actions from artefacts and compiled directly, all of
// them in two engines: one's code must not come up under another's name.
func TestLoadedExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Go four times, which takes the race detector minutes")
	}
	t.Parallel()
	config := engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true}
	compiled, err := compiler(t.Context(), config)
	require.NoError(t, err)
	loaded, err := loading(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, errors.Join(compiled.Close(context.Background()), loaded.Close(context.Background())))
	})
	for name, input := range map[string]string{
		"add":   `{"param1": 3, "param2": 4}`,
		"prime": `{"upperBound": 300}`,
	} {
		t.Run(name, func(t *testing.T) {
			binary := guesttest.Build(t, "wasmwhisk/examples/"+name, guest.Reactor)
			want := act(t, compiled, binary, input)
			require.NotContains(t, want, "error")
			assert.Equal(t, want, act(t, loaded, binary, input))
		})
	}
}

func act(t *testing.T, rt engine.WasmRuntime, binary []byte, input string) string {
	t.Helper()
	m, err := rt.Compile(t.Context(), binary)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, m.Close(context.Background())) })
	template, err := sandbox.New(sandbox.NewProgram(m), sandbox.HostFuncs(), sandbox.Policy{})
	require.NoError(t, err)
	out := template.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(input), Deadline: time.Now().Add(time.Minute)})
	require.NoError(t, out.Err)
	return string(out.Result)
}
