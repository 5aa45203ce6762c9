package rewrite_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// example is an action, and what it is asked.
type example struct {
	name       string
	inputs     []string
	binary     func(*testing.T) []byte
	treatments map[string]treatment
	inGo       bool
}

// examples are all whose answer depends on nothing but the input and what newWorld
// makes up. The others, block, net and filesys, need a network or a directory.
func examples() []example {
	var all []example
	adds := []string{`{"param1": 3, "param2": 4}`, `{"param1": 1.5, "param2": 2}`, `[1]`}
	for _, e := range []struct {
		name     string
		compiled guest.Mode // or none: a compiler takes seconds for each in Go
		inputs   []string
	}{
		{"add", "", adds},
		{"hash", guest.Reactor, []string{`{"iterations": 20, "input": "text"}`, `{"iterations": 1}`}},
		{"hello", guest.Command, []string{`{"name": "Ada"}`, `{}`}},
		{"prime", "", []string{`{"upperBound": 300}`, `{"upperBound": -5}`}},
		{"clock", "", []string{`{}`}},
		{"random", "", []string{`{}`}},
	} {
		for _, mode := range guesttest.Modes() {
			all = append(all, example{
				name: e.name + " as " + string(mode), inputs: e.inputs,
				binary:     func(t *testing.T) []byte { return guesttest.Build(t, "wasmwhisk/examples/"+e.name, mode) },
				treatments: treatmentsInGo(mode, mode == e.compiled),
				inGo:       true,
			})
		}
	}
	return append(
		all,
		example{"add in C", adds, func(t *testing.T) []byte { return guesttest.BuildC(t, "../../examples/c/add.c") }, allTreatments(), false},
		example{"add in WAT", adds, handWritten, allTreatments(), false},
	)
}

func handWritten(t *testing.T) []byte {
	t.Helper()
	source, err := os.ReadFile("../../examples/wat/add.wat")
	require.NoError(t, err)
	return wat.Must(string(source))
}

// allTreatments are those that do not take long on what is small.
func allTreatments() map[string]treatment {
	all := map[string]treatment{}
	for engine := range runtimeConfigs() {
		for name, o := range variants() {
			all[name+" on "+engine] = treatment{engine, o, false}
		}
		all["in parts on "+engine] = treatment{engine, variants()["both"], true}
	}
	return all
}

// treatmentsInGo are for a module in Go: all that there is for an interpreted reactor, and
// what changes most for the rest.
func treatmentsInGo(mode guest.Mode, compiled bool) map[string]treatment {
	some := map[string]treatment{}
	for name, tr := range allTreatments() {
		interpreted, most := tr.engine == "interpreter", tr.options.Hold
		if interpreted && (most || mode == guest.Reactor) || compiled && most && !tr.split && !raceDetector {
			some[name] = tr
		}
	}
	return some
}

// TestExamples runs actions as they are and rewritten, on every engine with the same
// answers.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			if testing.Short() && e.inGo {
				t.Skip("interprets Go, which takes the race detector a minute")
			}
			t.Parallel()
			binary := e.binary(t)
			want := e.answers(t, "interpreter", whole(rewrite.Result{Binary: binary}))
			for name, tr := range e.treatments {
				parts, err := tr.apply(binary)
				require.NoError(t, err)
				require.Empty(t, parts.Uncaptured)
				require.Empty(t, parts.Unresettable)
				require.Equal(t, tr.split, parts.Count() > 0, "in parts")
				assert.Equal(t, want, e.answers(t, tr.engine, parts), name)
			}
		})
	}
}

// answers are what an action makes of each input, in instances of its own.
func (e example) answers(t *testing.T, engine string, parts *rewrite.Parts) (all []string) {
	t.Helper()
	ctx := t.Context()
	r := newRuntime(t, runtimeConfigs()[engine])
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	compiled, err := r.CompileModule(ctx, parts.Binary)
	require.NoError(t, err)
	for _, input := range e.inputs {
		all = append(all, activate(t, r, compiled, parts, input))
	}
	require.NotContains(t, all[0], "error")
	return all
}

// newWorld makes up what a guest sees that it was not given: time goes by from look to
// look, and random numbers are always the same. All parts of a module share one.
func newWorld(input string, out *bytes.Buffer) wazero.ModuleConfig {
	now := time.Unix(1_700_000_000, 0)
	look := func() time.Time {
		now = now.Add(time.Microsecond)
		return now
	}
	return wazero.NewModuleConfig().WithName("").WithStartFunctions().WithArgs("action").
		WithStdin(strings.NewReader(input)).WithStdout(out).WithStderr(out).
		WithRandSource(rand.NewChaCha8([32]byte{})).
		WithWalltime(func() (int64, int32) { at := look(); return at.Unix(), int32(at.Nanosecond()) }, sys.ClockResolution(time.Microsecond)).
		WithNanotime(func() int64 { return look().UnixNano() }, sys.ClockResolution(time.Microsecond))
}

// activate makes an activation, and gives all that comes of it.
func activate(t *testing.T, r wazero.Runtime, compiled wazero.CompiledModule, parts *rewrite.Parts, input string) string {
	t.Helper()
	var out bytes.Buffer
	frames := lowerings{}
	ctx, world := frames.context(), newWorld(input, &out)
	mod, err := r.InstantiateModule(ctx, compiled, world)
	require.NoError(t, err)
	defer mod.Close(ctx)
	frames.lower(r, parts, mod).config = world
	s := withGuard(mod, parts.Guard)
	for _, segment := range parts.Image {
		require.True(t, mod.Memory().Write(segment.Offset, segment.Data))
	}
	if parts.Start != "" {
		s.must(ctx, t, parts.Start)
	}
	if mod.ExportedFunction("_start") != nil {
		return s.command(ctx, t, parts) + out.String()
	}
	return s.reactor(ctx, t, input) + out.String()
}

// command runs a command as a host does that would hold it: from the export for that,
// where there is one.
func (s *subject) command(ctx context.Context, t *testing.T, parts *rewrite.Parts) string {
	t.Helper()
	start := "_start"
	if parts.Count() == 0 {
		start = cmp.Or(parts.Held, start)
	}
	_, err := s.call(ctx, start)
	exit, ok := errors.AsType[*sys.ExitError](err)
	require.True(t, ok, "%s: %v", start, err)
	return fmt.Sprintf("exit code %d, ", exit.ExitCode())
}

func (s *subject) reactor(ctx context.Context, t *testing.T, input string) string {
	t.Helper()
	if s.ExportedFunction("_initialize") != nil {
		s.must(ctx, t, "_initialize")
	}
	at := api.DecodeU32(s.must(ctx, t, "ow_alloc", uint64(len(input)))[0])
	require.True(t, s.Memory().WriteString(at, input))
	where := s.must(ctx, t, "ow_run", uint64(at), uint64(len(input)))[0]
	out, ok := s.Memory().Read(uint32(where>>32), uint32(where))
	require.True(t, ok)
	return string(out) + ", "
}

func (s *subject) must(ctx context.Context, t *testing.T, export string, args ...uint64) []uint64 {
	t.Helper()
	results, err := s.call(ctx, export, args...)
	require.NoError(t, err, export)
	return results
}
