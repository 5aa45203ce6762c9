package rewrite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// spectest is the module that the test suite's modules import from.
const spectest = `(module
	(func (export "print")) (func (export "print_i32") (param i32)) (func (export "print_i64") (param i64))
	(func (export "print_f32") (param f32)) (func (export "print_f64") (param f64))
	(func (export "print_i32_f32") (param i32 f32)) (func (export "print_f64_f64") (param f64 f64))
	(global (export "global_i32") i32 (i32.const 666)) (global (export "global_i64") i64 (i64.const 666))
	(global (export "global_f32") f32 (f32.const 666.6)) (global (export "global_f64") f64 (f64.const 666.6))
	(table (export "table") 10 20 funcref) (memory (export "memory") 1 2))`

// TestCoreTestsuite runs the WebAssembly core test suite on modules as they are
// and rewritten, and compares what they do, on one engine each time.
// docs/development.md says where the suite comes from.
func TestCoreTestsuite(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("WASM_TESTSUITE")
	if dir == "" {
		t.Skip("WASM_TESTSUITE is not set to a checkout of WebAssembly/testsuite")
	}
	converter, err := exec.LookPath("wast2json")
	if err != nil {
		t.Skip("wast2json of wabt is not there")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.wast"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var sum tally
	t.Run("files", func(t *testing.T) {
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".wast"), func(t *testing.T) {
				t.Parallel()
				runScript(t, converter, file, &sum)
			})
		}
	})
	t.Logf("%d files, %d beyond wast2json; %d modules compared, %d of them in parts, %d that wazero refuses, %d that the rewriter refuses; "+
		"%d calls compared, %d of modules not compared; %d invalid modules stayed invalid",
		len(files), sum.unconverted.Load(), sum.modules.Load(), sum.split.Load(), sum.unsupported.Load(), sum.refused.Load(),
		sum.calls.Load(), sum.skipped.Load(), sum.invalid.Load())
	assert.Greater(t, sum.calls.Load(), int64(10_000))
}

type tally struct {
	unconverted, modules, split, unsupported, refused, calls, skipped, invalid atomic.Int64
}

// command is one of a converted script.
type command struct {
	Type       string
	Line       int
	Name, As   string
	Filename   string
	ModuleType string `json:"module_type"`
	Action     action
}

type action struct {
	Type, Module, Field string
	Args                []value
}

type value struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    json.RawMessage
}

func runScript(t *testing.T, converter, file string, sum *tally) {
	dir := t.TempDir()
	out := filepath.Join(dir, "script.json")
	if said, err := exec.Command(converter, "--enable-all", file, "-o", out).CombinedOutput(); err != nil {
		sum.unconverted.Add(1)
		t.Skipf("wast2json: %s", firstLine(errors.New(string(said))))
	}
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	var script struct{ Commands []command }
	require.NoError(t, json.Unmarshal(text, &script))
	for name, tr := range treatments() {
		t.Run(name, func(t *testing.T) { newContest(t, sum, tr).run(dir, script.Commands) })
	}
}

// treatment is a way to rewrite, and the engine that it is for.
type treatment struct {
	engine  string // of runtimeConfigs
	options rewrite.Options
	split   bool
}

// treatments are the guard alone, lazy tables wherever there may be one, and the two of
// engines/wazero, with the bound for tables that is its default. None of them has a module
// do anything else; only what one hears of calls that nest too deep is said in other
// words, see sameOverflow.
func treatments() map[string]treatment {
	inUse := rewrite.Options{TableElements: 1 << 20, Guard: true, Hold: true, Capture: true, LazyTables: rewrite.ManyElements}
	return map[string]treatment{
		"guard":    {"compiler", rewrite.Options{Guard: true}, false},
		"both":     {"compiler", rewrite.Options{Guard: true, Capture: true, LazyTables: 1}, false},
		"compiled": {"compiler", inUse, false},
		"in parts": {"interpreter", inUse, true},
	}
}

// apply rewrites. What it gives in one piece is parts of which none is ever asked for.
func (tr treatment) apply(binary []byte) (*rewrite.Parts, error) {
	if tr.split {
		return rewrite.Split(binary, tr.options)
	}
	result, err := rewrite.Rewrite(binary, tr.options)
	if err != nil {
		return nil, err
	}
	return whole(*result), nil
}

func whole(result rewrite.Result) *rewrite.Parts { return &rewrite.Parts{Result: result} }

// contest is one script on modules as they are and rewritten.
type contest struct {
	t         *testing.T
	sum       *tally
	treatment treatment
	stages    [2]*stage // as it is, rewritten
}

// stage is where the modules of a script live.
type stage struct {
	runtime wazero.Runtime
	modules map[string]*subject // "" is the latest; nil for one that is not there
	all     []*subject
	frames  lowerings
}

func newContest(t *testing.T, sum *tally, tr treatment) *contest {
	c := &contest{t: t, sum: sum, treatment: tr}
	for i := range c.stages {
		r := newRuntime(t, runtimeConfigs()[tr.engine])
		c.stages[i] = &stage{runtime: r, modules: map[string]*subject{}, frames: lowerings{}}
		_, err := r.InstantiateWithConfig(context.Background(), wat.Must(spectest), wazero.NewModuleConfig().WithName("spectest"))
		require.NoError(t, err)
	}
	return c
}

func (c *contest) run(dir string, commands []command) {
	for i, cmd := range commands {
		switch cmd.Type {
		case "module":
			c.load(filepath.Join(dir, cmd.Filename), cmd, registeredAs(commands[i+1:]))
		case "assert_uninstantiable", "assert_unlinkable":
			c.load(filepath.Join(dir, cmd.Filename), command{Line: cmd.Line, Name: "$fails"}, "")
		case "assert_invalid", "assert_malformed":
			if cmd.ModuleType == "binary" {
				c.reject(filepath.Join(dir, cmd.Filename), cmd)
			}
		case "action", "assert_return", "assert_trap", "assert_exhaustion":
			c.act(cmd)
		}
	}
}

// registeredAs is the name under which a script registers a module right after
// it: wazero needs to know it in time.
func registeredAs(next []command) string {
	for _, cmd := range next {
		switch cmd.Type {
		case "register":
			return cmd.As
		case "module":
			return ""
		}
	}
	return ""
}

func (c *contest) load(file string, cmd command, as string) {
	ctx := context.Background()
	binary, err := os.ReadFile(file)
	require.NoError(c.t, err)
	for _, s := range c.stages {
		s.modules[""], s.modules[cmd.Name] = nil, nil
	}
	if err := valid(ctx, c.stages[0].runtime, binary); err != nil {
		c.sum.unsupported.Add(1)
		return
	}
	parts, err := c.rewrite(binary)
	if err != nil {
		c.sum.refused.Add(1)
		_, elements := errors.AsType[*rewrite.FormatError](err)
		require.True(c.t, elements && strings.Contains(err.Error(), "element segment ends at"), "line %d: %v", cmd.Line, err)
		return
	}
	want := c.stages[0].instantiate(as, cmd.Name, whole(rewrite.Result{Binary: binary}))
	got := c.stages[1].instantiate(as, cmd.Name, parts)
	require.Equal(c.t, want == nil, got == nil, "line %d: instantiation: %v, want %v", cmd.Line, got, want)
	c.sum.modules.Add(1)
	if parts.Count() > 0 {
		c.sum.split.Add(1)
	}
}

func (s *stage) instantiate(as, name string, parts *rewrite.Parts) error {
	ctx := s.frames.context()
	mod, err := s.runtime.InstantiateWithConfig(ctx, parts.Binary, anonymous().WithName(as))
	if err != nil {
		return err
	}
	s.frames.lower(s.runtime, parts, mod)
	sub := withGuard(mod, parts.Guard)
	for _, segment := range parts.Image {
		mod.Memory().Write(segment.Offset, segment.Data)
	}
	s.all = append(s.all, sub)
	if parts.Start != "" {
		if _, err := sub.call(ctx, parts.Start); err != nil {
			return err
		}
	}
	s.modules[""], s.modules[name] = sub, sub
	return nil
}

// rewrite sees to it, too, that parts are valid if all of it is, by samples as well.
func (c *contest) rewrite(binary []byte) (*rewrite.Parts, error) {
	if c.treatment.split {
		requireValidParts(c.t, c.stages[0].runtime, binary)
	}
	return c.treatment.apply(binary)
}

// reject sees to it that what is invalid is so after rewriting too.
func (c *contest) reject(file string, cmd command) {
	ctx := context.Background()
	binary, err := os.ReadFile(file)
	require.NoError(c.t, err)
	sound(c.t, c.stages[0].runtime, binary)
	if valid(ctx, c.stages[0].runtime, binary) == nil {
		return // wazero is more tolerant than the specification
	}
	parts, err := c.rewrite(binary)
	if err == nil {
		err = validParts(ctx, c.stages[0].runtime, parts)
	}
	assert.Error(c.t, err, "line %d: invalid module", cmd.Line)
	c.sum.invalid.Add(1)
}

func (c *contest) act(cmd command) {
	want, ok := c.stages[0].act(cmd.Action)
	if !ok {
		c.sum.skipped.Add(1)
		return
	}
	got, ok := c.stages[1].act(cmd.Action)
	require.True(c.t, ok, "line %d: no such module", cmd.Line)
	assert.Equal(c.t, want, got, "line %d: %s", cmd.Line, cmd.Action.Field)
	c.sum.calls.Add(1)
}

// act gives results or error as text; false where there is no such module.
func (s *stage) act(a action) (string, bool) {
	sub := s.modules[a.Module]
	if sub == nil {
		return "", false
	}
	if a.Type == "get" {
		return fmt.Sprint(sub.ExportedGlobal(a.Field).Get()), true
	}
	fn := sub.ExportedFunction(a.Field)
	if fn == nil {
		return "", false
	}
	for _, other := range s.all {
		other.refuel()
	}
	var args []uint64
	for _, v := range a.Args {
		args = append(args, v.bits()...)
	}
	results, err := fn.Call(s.frames.context(), args...)
	if err != nil {
		return sameOverflow.Replace(firstLine(err)), true
	}
	return fmt.Sprint(visible(fn.Definition().ResultTypes(), results)), true
}

// sameOverflow has the guard and both engines say one thing about nesting too deep.
var sameOverflow = strings.NewReplacer(
	errOverflow.Error()+" (recovered by wazero)", "stack overflow",
	"wasm error: stack overflow", "stack overflow",
)

// visible replaces references to functions, which are addresses.
func visible(types []api.ValueType, results []uint64) []uint64 {
	const funcref, v128 = 0x70, 0x7b
	at := 0
	for _, t := range types {
		switch {
		case t == funcref && results[at] != 0:
			results[at] = 1
		case t == v128:
			at++
		}
		at++
	}
	return results
}

func (v value) bits() []uint64 {
	if v.Type == "v128" {
		return v.lanes()
	}
	var text string
	if err := json.Unmarshal(v.Value, &text); err != nil || text == "null" {
		return []uint64{0}
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	return []uint64{n}
}

func (v value) lanes() []uint64 {
	var lanes []string
	_ = json.Unmarshal(v.Value, &lanes)
	width := 128 / len(lanes)
	out := make([]uint64, 2)
	for i, lane := range lanes {
		n, _ := strconv.ParseUint(lane, 10, 64)
		out[i*width/64] |= n << (i * width % 64)
	}
	return out
}
