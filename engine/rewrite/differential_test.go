package rewrite_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine/rewrite"
)

func runtimeConfigs() map[string]wazero.RuntimeConfig {
	return map[string]wazero.RuntimeConfig{
		"compiler":    wazero.NewRuntimeConfigCompiler(),
		"interpreter": wazero.NewRuntimeConfigInterpreter(),
	}
}

// variants are the ways to rewrite that must not change what a module does.
func variants() map[string]rewrite.Options {
	return map[string]rewrite.Options{
		"nothing": {},
		"guard":   {Guard: true},
		"capture": {Capture: true},
		"lazy":    {Guard: true, LazyTables: 1},
		"both":    {Guard: true, Hold: true, Capture: true, TableElements: 10_000, MemoryPages: 1000, LazyTables: 1},
	}
}

// outcome is all that one can see of a run.
type outcome struct {
	results []uint64
	err     string
	memory  []byte
	globals [3]uint64
}

func (o *outcome) String() string {
	return fmt.Sprintf("results %v, error %q, globals %v, %d bytes of memory", o.results, o.err, o.globals, len(o.memory))
}

func (o *outcome) equal(p *outcome) bool {
	return o.String() == p.String() && bytes.Equal(o.memory, p.memory)
}

// observe instantiates a module and calls its exports f0, f1 and so on, each
// after the other.
func observe(t testing.TB, r wazero.Runtime, result *rewrite.Result) []*outcome {
	t.Helper()
	return observeIn(context.Background(), t, r, result, func(api.Module) {})
}

func observeIn(ctx context.Context, t testing.TB, r wazero.Runtime, result *rewrite.Result, made func(api.Module)) []*outcome {
	t.Helper()
	s, err := instantiate(ctx, r, result.Binary, result.Guard)
	if err != nil {
		return []*outcome{{err: firstLine(err)}}
	}
	defer s.Close(ctx)
	made(s.Module)
	for _, part := range result.Image {
		require.True(t, s.Memory().Write(part.Offset, part.Data))
	}
	if result.Start != "" {
		if _, err := s.call(ctx, result.Start); err != nil {
			return []*outcome{{err: firstLine(err)}}
		}
	}
	var seen []*outcome
	for i := 0; s.ExportedFunction(fmt.Sprintf("f%d", i)) != nil; i++ {
		seen = append(seen, s.observeCall(ctx, fmt.Sprintf("f%d", i)))
	}
	return seen
}

func (s *subject) observeCall(ctx context.Context, export string) *outcome {
	args := make([]uint64, len(s.ExportedFunction(export).Definition().ParamTypes()))
	for i := range args {
		args[i] = uint64(i + 3)
	}
	s.ExportedGlobal("g0").(api.MutableGlobal).Set(steps)
	results, err := s.call(ctx, export, args...)
	o := &outcome{results: results, err: firstLine(err)}
	memory, _ := s.Memory().Read(0, s.Memory().Size())
	o.memory = bytes.Clone(memory)
	for i := range o.globals {
		o.globals[i] = s.ExportedGlobal(fmt.Sprintf("g%d", i)).Get()
	}
	return o
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	if _, cause, ok := strings.Cut(line, "failed: "); ok { // of a start function
		return cause
	}
	return line
}

// differ rewrites a module in every way and compares what it does.
func differ(t testing.TB, runtimes map[string]wazero.Runtime, binary []byte) {
	t.Helper()
	for engine, r := range runtimes {
		require.NoError(t, valid(context.Background(), r, binary), "generated module %x", binary)
		want := observe(t, r, &rewrite.Result{Binary: binary})
		for name, o := range variants() {
			result, err := rewrite.Rewrite(binary, o)
			require.NoError(t, err, "module %x", binary)
			require.Empty(t, result.Uncaptured)
			requireSame(t, want, observe(t, r, result), name+" on "+engine, binary)
		}
		requireSame(t, want, observeParts(t, r, split(t, binary)), "parts on "+engine, binary)
	}
}

func requireSame(t testing.TB, want, got []*outcome, how string, binary []byte) {
	t.Helper()
	require.Len(t, got, len(want), "%s: %v, want %v, module %x", how, got, want, binary)
	for i := range want {
		require.True(t, got[i].equal(want[i]), "%s, f%d: %s, want %s, module %x", how, i, got[i], want[i], binary)
	}
}

func newRuntimes(t testing.TB) map[string]wazero.Runtime {
	runtimes := map[string]wazero.Runtime{}
	for name, config := range runtimeConfigs() {
		runtimes[name] = newRuntime(t, config)
	}
	return runtimes
}

// TestGeneratedModules compares random modules before and after.
func TestGeneratedModules(t *testing.T) {
	t.Parallel()
	count := 80
	if testing.Short() {
		count = 12
	}
	runtimes := newRuntimes(t)
	random := rand.New(rand.NewPCG(1, 2))
	traps, plain := 0, 0
	for range count {
		binary := generate(randomBytes(random, 100+random.IntN(1500)))
		differ(t, runtimes, binary)
		for _, o := range observe(t, runtimes["compiler"], &rewrite.Result{Binary: binary}) {
			if o.err == "" {
				plain++
			} else {
				traps++
			}
		}
	}
	t.Logf("%d calls returned, %d trapped", plain, traps)
	require.Greater(t, plain, count, "calls that returned")
	require.Greater(t, traps, count/10, "calls that trapped")
}

func randomBytes(random *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// FuzzDifferential compares modules that are generated from the input, on the
// interpreter alone, which is ready sooner.
func FuzzDifferential(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 8 {
		f.Add(randomBytes(random, 600))
	}
	runtimes := map[string]wazero.Runtime{"interpreter": newRuntime(f, wazero.NewRuntimeConfigInterpreter())}
	f.Fuzz(func(t *testing.T, data []byte) { differ(t, runtimes, generate(data)) })
}
