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
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engine/worker"
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

// A Runner runs the activations of a guest.
type Runner interface {
	Run(ctx context.Context, a sandbox.Activation) sandbox.Outcome
	Close()
}

// A Side opens guests, in a way that has to make no difference to them.
type Side func(ctx context.Context, binary []byte, policy sandbox.Policy) (Runner, error)

// InProcess has guests run on an engine in this process.
func InProcess(t *testing.T, open Open) Side {
	e := newEnv(t, open, engine.Config{HostFuncs: sandbox.HostFuncs()}, Options{})
	return func(ctx context.Context, binary []byte, policy sandbox.Policy) (Runner, error) {
		module, err := e.rt.Compile(ctx, binary)
		if err != nil {
			return nil, err
		}
		r := program{t: t, Program: sandbox.NewProgram(module)}
		if r.Template, err = sandbox.New(r.Program, sandbox.HostFuncs(), policy); err != nil {
			r.Close()
			return nil, err
		}
		return r, nil
	}
}

// program is a guest in this process.
type program struct {
	t *testing.T
	*sandbox.Program
	*sandbox.Template
}

func (p program) Close() { assert.NoError(p.t, p.Program.Close(context.Background())) }

// InWorkers has guests run in worker processes that a command starts.
func InWorkers(t *testing.T, command ...string) Side {
	s, err := worker.New(worker.Config{Command: command, Activations: 1, Start: time.Hour, Grace: time.Hour})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return func(ctx context.Context, binary []byte, policy sandbox.Policy) (Runner, error) {
		r, err := s.Open(ctx, worker.Code{Binary: binary}, policy)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
}

// Same runs every guest with its inputs on every side, each input three times: in a
// sandbox that starts, and in such as were put back. Status, result, error and log
// have to be the same.
func Same(t *testing.T, sides map[string]Side, guests []Guest) {
	names := slices.Sorted(maps.Keys(sides))
	for _, g := range guests {
		t.Run(g.Name, func(t *testing.T) {
			want := g.account(t, sides[names[0]])
			for _, name := range names[1:] {
				assert.Equal(t, want, g.account(t, sides[name]), "%s, and %s", names[0], name)
			}
		})
	}
}

// account is all that a caller sees of a guest, as text.
func (g Guest) account(t *testing.T, open Side) []string {
	t.Helper()
	runner, err := open(t.Context(), g.Binary, g.Policy)
	if err != nil {
		return []string{err.Error()}
	}
	defer runner.Close()
	var lines []string
	for _, input := range g.Inputs {
		for range 3 {
			lines = append(lines, g.describe(runner.Run(t.Context(), sandbox.Activation{Input: json.RawMessage(input)})))
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
