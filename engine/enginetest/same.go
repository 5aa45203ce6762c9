package enginetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/internal/wat"
)

// Guest is an action that engines have to agree on.
type Guest struct {
	Name   string
	Binary []byte
	Policy sandbox.Policy
	Inputs []string

	// Varies tells that numbers in answers and logs are not the same twice.
	Varies bool
}

// Same runs every guest with its inputs on every engine, each input three times:
// in a sandbox that starts, and in such as were put back. Status, result, error
// and log have to be the same.
func Same(t *testing.T, engines map[string]Open, guests []Guest) {
	names := slices.Sorted(maps.Keys(engines))
	runtimes := map[string]engine.WasmRuntime{}
	for _, name := range names {
		e := newEnv(t, engines[name], engine.Config{HostFuncs: sandbox.HostFuncs()}, Options{})
		runtimes[name] = e.rt
	}
	for _, g := range guests {
		t.Run(g.Name, func(t *testing.T) {
			want := g.account(t, runtimes[names[0]])
			for _, name := range names[1:] {
				assert.Equal(t, want, g.account(t, runtimes[name]), "%s, and %s", names[0], name)
			}
		})
	}
}

// account is all that a caller sees of a guest, as text.
func (g Guest) account(t *testing.T, rt engine.WasmRuntime) []string {
	t.Helper()
	module, err := rt.Compile(t.Context(), g.Binary)
	require.NoError(t, err)
	program := sandbox.NewProgram(module)
	defer func() { require.NoError(t, program.Close(context.WithoutCancel(t.Context()))) }()
	template, err := sandbox.New(program, sandbox.HostFuncs(), g.Policy)
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, input := range g.Inputs {
		for range 3 {
			lines = append(lines, g.describe(template.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(input)})))
		}
	}
	return lines
}

var numbers = regexp.MustCompile(`\d+`)

func (g Guest) describe(out sandbox.Outcome) string {
	text := fmt.Sprintf("status %d: %s, error %v, truncated %t", out.Status, out.Result, out.Err, out.Logs.Truncated)
	for _, l := range out.Logs.Lines {
		text += fmt.Sprintf("\n%s: %s", l.Stream, l.Text)
	}
	if g.Varies {
		text = numbers.ReplaceAllString(text, "N")
	}
	return text
}

// SameGenerated runs as many generated modules on two engines, as [FuzzSame] does.
func SameGenerated(t *testing.T, one, other Open, modules int) {
	a, b := newEnv(t, one, engine.Config{}, Options{}), newEnv(t, other, engine.Config{}, Options{})
	for i := range modules {
		requireSame(t, a, b, randomSeed(uint64(i)))
	}
}

// randomSeed is the seed of a generated module of middling size.
func randomSeed(n uint64) []byte {
	random := rand.New(rand.NewPCG(n, 2))
	seed := make([]byte, 400)
	for i := range seed {
		seed[i] = byte(random.Uint32())
	}
	return seed
}

// requireSame wants two engines to agree on the results, the trap and the whole
// memory of a generated module.
func requireSame(t *testing.T, a, b *env, seed []byte) {
	t.Helper()
	source := Generate(seed)
	binary, err := wat.Compile(source)
	require.NoError(t, err, "assemble %s", source)
	got, want := a.ending(t, binary), b.ending(t, binary)
	if got.timedOut || want.timedOut {
		return // too slow to tell
	}
	require.Equal(t, want.what, got.what, "of %s", source)
	require.True(t, bytes.Equal(want.memory, got.memory), "memories differ after %s", source)
}
