package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// standIn is interpreted until its final module is let come.
type standIn struct {
	engine.Snapshotter
	final func(context.Context) (engine.Module, error)
}

func (s standIn) Final(ctx context.Context) (engine.Module, error) { return s.final(ctx) }

// tiered is a program whose final module comes, or fails to, when it is told.
type tiered struct {
	*sandbox.Program
	t     testing.TB
	comes chan error
}

func newTiered(t testing.TB, binary []byte) *tiered {
	t.Helper()
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	first, err := rt.Interpret(t.Context(), binary, nil)
	require.NoError(t, err)
	p := &tiered{t: t, comes: make(chan error, 1)}
	p.Program = sandbox.NewProgram(standIn{first, func(ctx context.Context) (engine.Module, error) {
		select {
		case err := <-p.comes:
			if err != nil {
				return nil, err
			}
			return rt.Compile(ctx, binary)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}})
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		assert.NoError(t, errors.Join(p.Close(ctx), rt.Close(ctx)))
	})
	return p
}

func (p *tiered) template(policy sandbox.Policy) *sandbox.Template {
	p.t.Helper()
	tpl, err := sandbox.New(p.Program, sandbox.HostFuncs(), policy)
	require.NoError(p.t, err)
	return tpl
}

// compile has the final module come, and waits for it.
func (p *tiered) compile() {
	p.t.Helper()
	p.comes <- nil
	require.NoError(p.t, p.Settle(p.t.Context()))
}

func TestExamplesAnswerAlikeOnBothTiers(t *testing.T) {
	t.Parallel()
	examples := []struct{ name, input string }{
		{"add", `{"param1":3,"param2":4}`},
		{"prime", `{"upperBound":300}`},
		{"hash", `{"text":"abc"}`},
		{"hello", `{"name":"World"}`},
	}
	if testing.Short() {
		examples = examples[:1]
	}
	modes := guesttest.Modes()
	for n, tc := range examples {
		mode := modes[n%len(modes)]
		t.Run(tc.name+"/"+string(mode), func(t *testing.T) {
			t.Parallel()
			p := newTiered(t, guesttest.Build(t, "wasmwhisk/examples/"+tc.name, mode))
			tpl := p.template(sandbox.Policy{})
			require.NoError(t, tpl.Probe(t.Context()).Err)
			var answers []string
			for range 3 {
				out := tpl.Run(t.Context(), activation(tc.input))
				require.NoError(t, out.Err)
				assert.True(t, out.Provisional)
				answers = append(answers, string(out.Result))
			}
			p.compile()
			for range 3 {
				out := tpl.Run(t.Context(), activation(tc.input))
				require.NoError(t, out.Err)
				assert.False(t, out.Provisional)
				answers = append(answers, string(out.Result))
			}
			for _, a := range answers {
				assert.Equal(t, answers[0], a)
			}
		})
	}
}

// counts traps where it finds anything of another activation.
var counts = reactor(`
	(if (i32.or (global.get $count) (i32.load (i32.const 512))) (then unreachable))
	(global.set $count (i32.const 1))
	(i32.store (i32.const 512) (i32.const 1))
	global.get $ok`, `(global $count (mut i32) (i32.const 0))`)

// The state that the interpreter brought a guest to serves compiled sandboxes.
func TestSnapshotOutlivesItsTier(t *testing.T) {
	t.Parallel()
	p := newTiered(t, wat.Must(counts))
	tpl := p.template(sandbox.Policy{})
	require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
	p.compile()
	for range 3 {
		out := tpl.Run(t.Context(), activation(`{}`))
		require.NoError(t, out.Err)
		assert.Zero(t, out.Timings.Snapshot)
	}
	require.NoError(t, sandbox.WhyNoSnapshot(tpl))
}

// rehearsing answers {"rehearsed":true} if it has begun after a rehearsal, and
// traps where it finds anything of another activation.
func rehearsing(rehearsal string) string {
	return importing(`(import "whisk" "deadline" (func $deadline (result i64)))`, reactor(`
	(if (i32.ne (i32.load (i32.const 512)) (i32.const 1)) (then unreachable))
	(i32.store (i32.const 512) (i32.const 2))
	(select (i64.or (i64.shl (i64.const 32) (i64.const 32)) (i64.const 18)) (global.get $ok) (i32.load (i32.const 516)))`, `
	(data (i32.const 32) "{\"rehearsed\":true}")
	(func (export "ow_warm_up") (i32.store (i32.const 512) (i32.const 1)))
	(func (export "ow_rehearse") (i32.store (i32.const 516) (i32.const 1)) `+rehearsal+`)`))
}

const rehearsedAnswer, unrehearsedAnswer = `{"rehearsed":true}`, `{"ok":true}`

// rehearsals are guests, and what they answer once they could have rehearsed.
func rehearsals() map[string]struct{ src, want string } {
	return map[string]struct{ src, want string }{
		"ends":             {rehearsing(""), rehearsedAnswer},
		"traps":            {rehearsing("unreachable"), unrehearsedAnswer},
		"never ends":       {rehearsing("(loop $l (br $l))"), unrehearsedAnswer},
		"calls the host":   {rehearsing("(drop (call $deadline))"), unrehearsedAnswer},
		"has no warm-up":   {strings.Replace(rehearsing(""), "ow_warm_up", "_initialize", 1), unrehearsedAnswer},
		"has no rehearsal": {strings.Replace(rehearsing(""), "ow_rehearse", "other", 1), unrehearsedAnswer},
	}
}

func answers(t *testing.T, tpl *sandbox.Template, want string) {
	t.Helper()
	for range 3 {
		out := tpl.Run(t.Context(), activation(`{}`))
		require.NoError(t, out.Err)
		require.JSONEq(t, want, string(out.Result))
	}
	require.NoError(t, sandbox.WhyNoSnapshot(tpl))
}

func TestRehearsal(t *testing.T) {
	t.Parallel()
	for name, tc := range rehearsals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
				tpl := template(t, rt, tc.src, sandbox.Policy{})
				require.NoError(t, tpl.Probe(t.Context()).Err)
				answers(t, tpl, tc.want)
			})
		})
	}
}

// A guest that is interpreted begins without a rehearsal, for which somebody would
// wait.
func TestGuestRehearsesOnItsFinalModule(t *testing.T) {
	t.Parallel()
	for name, tc := range rehearsals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTiered(t, wat.Must(tc.src))
			tpl := p.template(sandbox.Policy{})
			require.NoError(t, tpl.Probe(t.Context()).Err)
			answers(t, tpl, unrehearsedAnswer)
			p.compile()
			answers(t, tpl, tc.want)
		})
	}
}

// endless is a template whose next activation begins a rehearsal that does not end.
func endless(t *testing.T) *sandbox.Template {
	t.Helper()
	p := newTiered(t, wat.Must(rehearsing("(loop $l (br $l))")))
	tpl := p.template(sandbox.Policy{})
	require.NoError(t, tpl.Probe(t.Context()).Err)
	p.compile()
	return tpl
}

// A rehearsal takes no time from any activation but one.
func TestEndlessRehearsal(t *testing.T) {
	t.Parallel()
	tpl := endless(t)
	outcomes := make(chan sandbox.Outcome, 2)
	for range cap(outcomes) {
		go func() { outcomes <- tpl.Run(t.Context(), activation(`{}`)) }()
	}
	require.NoError(t, (<-outcomes).Err)
	assert.True(t, sandbox.Rough(tpl), "answered while the other rehearses")
	require.NoError(t, (<-outcomes).Err)
	assert.False(t, sandbox.Rough(tpl))
}

func TestDeadlineInRehearsal(t *testing.T) {
	t.Parallel()
	tpl := endless(t)
	a := activation(`{}`)
	a.Deadline = time.Now().Add(500 * time.Millisecond)
	tpl.Run(t.Context(), a)
	assert.False(t, sandbox.Rough(tpl), "it is tried again")
	answers(t, tpl, unrehearsedAnswer)
}

// Numbers of Go's generators differ between activations, wherever they begin.
func TestActivationsDifferOnBothTiers(t *testing.T) {
	if testing.Short() {
		t.Skip("interprets Go, which takes the race detector a minute")
	}
	t.Parallel()
	for _, mode := range guesttest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			p := newTiered(t, guesttest.Build(t, "wasmwhisk/actionsdk/testdata/random", mode))
			tpl := p.template(sandbox.Policy{Env: []string{"KEY=value"}})
			seen := map[string]bool{}
			for n := range 6 {
				if n == 3 {
					p.compile()
				}
				a := activation(`{}`)
				a.Context = abi.Context{{Name: "activation_id", Value: strconv.Itoa(n)}}
				out := tpl.Run(t.Context(), a)
				require.NoError(t, out.Err)
				var answer struct {
					Numbers map[string]string
					Env     []string
				}
				require.NoError(t, json.Unmarshal(out.Result, &answer))
				assert.ElementsMatch(t, []string{"KEY=value", "__OW_ACTIVATION_ID=" + strconv.Itoa(n)}, answer.Env)
				require.Len(t, answer.Numbers, 5)
				for generator, number := range answer.Numbers {
					assert.False(t, seen[generator+number], "%s in activation %d", generator, n)
					seen[generator+number] = true
				}
			}
		})
	}
}

func TestReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		src   string
		other sandbox.Policy // of every second activation
	}{
		"the snapshot stays":    {src: counts, other: sandbox.Policy{NoSnapshot: true}},
		"it is taken once more": {src: rehearsing("")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTiered(t, wat.Must(tc.src))
			tpls := []*sandbox.Template{p.template(sandbox.Policy{}), p.template(tc.other)}
			var running sync.WaitGroup
			for n := range 16 {
				running.Go(func() {
					for i := 0; i < 200 || !p.Settled(); i++ {
						if err := tpls[n%2].Run(t.Context(), activation(`{}`)).Err; err != nil {
							t.Errorf("Run = %v", err)
							return
						}
					}
				})
			}
			p.compile()
			running.Wait()
			for _, tpl := range tpls {
				assert.False(t, tpl.Run(t.Context(), activation(`{}`)).Provisional)
			}
		})
	}
}

// runs has an activation begin, and gives its outcome later.
func runs(t *testing.T, tpl *sandbox.Template) <-chan sandbox.Outcome {
	t.Helper()
	outcome := make(chan sandbox.Outcome, 1)
	go func() { outcome <- tpl.Run(t.Context(), activation(`{}`)) }()
	return outcome
}

// slow computes for some tenths of a second, where it is compiled.
var slow = reactor(`
	(loop $l
		(local.set $i (i32.add (local.get $i) (i32.const 1)))
		(br_if $l (i32.lt_u (local.get $i) (i32.const 400000000))))
	global.get $ok`, "")

// A guest that computes begins again as soon as it can do so more quickly.
func TestComputingGuestBeginsAgain(t *testing.T) {
	t.Parallel()
	p := newTiered(t, wat.Must(slow))
	tpl := p.template(sandbox.Policy{})
	require.NoError(t, tpl.Probe(t.Context()).Err)
	outcome := runs(t, tpl)
	p.compile()
	out := <-outcome
	require.NoError(t, out.Err)
	assert.False(t, out.Provisional)
}

// deep calls itself 5,000 times, more often than an interpreter can.
var deep = reactor(`(call $down (i32.const 5000)) global.get $ok`, down)

const down = `(func $down (param i32) (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))`

func TestDeepGuestWaitsForItsFinalModule(t *testing.T) {
	t.Parallel()
	p := newTiered(t, wat.Must(deep))
	tpl := p.template(sandbox.Policy{})
	require.NoError(t, tpl.Probe(t.Context()).Err)
	outcome := runs(t, tpl)
	p.compile()
	out := <-outcome
	require.NoError(t, out.Err)
	assert.False(t, out.Provisional)
}

// What others may have noticed is not done twice: such a guest is left where it
// runs, and to its limits there.
func TestNoticedGuestDoesNotBeginAgain(t *testing.T) {
	t.Parallel()
	p := newTiered(t, wat.Must(reactor(`
		(drop (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
		(call $down (i32.const 5000)) global.get $ok`, down)))
	tpl := p.template(sandbox.Policy{})
	out := tpl.Run(t.Context(), activation(`{}`))
	trap, ok := errors.AsType[*engine.TrapError](out.Err)
	require.True(t, ok, "Run = %v, want a TrapError", out.Err)
	assert.Equal(t, engine.TrapStackOverflow, trap.Kind)
	assert.True(t, out.Provisional)
	p.compile()
	require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
}

// A binary that the compiler refuses is refused from then on.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	p := newTiered(t, wat.Must(echoes))
	tpl := p.template(sandbox.Policy{})
	require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
	refusal := &engine.InvalidModuleError{Err: errors.New("too hard")}
	p.comes <- refusal
	require.ErrorIs(t, p.Settle(t.Context()), refusal)
	for _, out := range []sandbox.Outcome{tpl.Run(t.Context(), activation(`{}`)), tpl.Probe(t.Context()), p.template(sandbox.Policy{NoSnapshot: true}).Probe(t.Context())} {
		require.ErrorIs(t, out.Err, refusal)
		assert.Equal(t, sandbox.DeveloperError, out.Status)
	}
	assert.False(t, p.Settled())
}

// A compiler that fails for reasons of its own takes nothing from anybody.
func TestInterpretedForGood(t *testing.T) {
	t.Parallel()
	p := newTiered(t, wat.Must(echoes))
	tpl := p.template(sandbox.Policy{})
	p.comes <- errors.New("no room on disk")
	require.ErrorContains(t, p.Settle(t.Context()), "no room on disk")
	out := tpl.Run(t.Context(), activation(`{}`))
	require.NoError(t, out.Err)
	assert.True(t, out.Provisional)
	assert.False(t, p.Settled())
}

// Closing a program ends the making of its final module.
func TestCloseEndsCompilation(t *testing.T) {
	t.Parallel()
	p := newTiered(t, wat.Must(echoes))
	require.NoError(t, p.template(sandbox.Policy{}).Probe(t.Context()).Err)
	require.NoError(t, p.Close(t.Context()))
	require.ErrorIs(t, p.Settle(t.Context()), context.Canceled)
}

// A deadline holds for an interpreted guest, too, and while it waits.
func TestDeadlinesOfProvisionalGuests(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{"computing": slow, "waiting": deep} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTiered(t, wat.Must(src))
			a := activation(`{}`)
			a.Deadline = time.Now().Add(50 * time.Millisecond)
			out := p.template(sandbox.Policy{}).Run(t.Context(), a)
			require.ErrorIs(t, out.Err, context.DeadlineExceeded)
		})
	}
}

// unstartable is a module of which no instance can be made.
type unstartable struct{ engine.Snapshotter }

func (unstartable) Imports() []engine.Import    { return nil }
func (unstartable) Exports() []engine.Export    { return reactorExports() }
func (unstartable) Close(context.Context) error { return nil }
func (unstartable) Instantiate(context.Context, engine.Limits) (engine.Instance, error) {
	return nil, errors.New("no memory")
}

func reactorExports() []engine.Export {
	i32, i64 := []engine.ValueType{engine.I32}, []engine.ValueType{engine.I64}
	return []engine.Export{
		{Name: "memory"},
		{Name: "ow_alloc", Type: &engine.FuncType{Params: i32, Results: i32}},
		{Name: "ow_run", Type: &engine.FuncType{Params: []engine.ValueType{engine.I32, engine.I32}, Results: i64}},
	}
}

// Compiling does not take the processors from the guest that starts.
func TestFinalModuleWaitsForTheFirstStart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		meanwhile func(context.Context, *sandbox.Program)
		want      bool
	}{
		"nothing":                {func(context.Context, *sandbox.Program) {}, false},
		"a guest has started":    {start, true},
		"nobody starts any":      {func(context.Context, *sandbox.Program) { time.Sleep(time.Second) }, true},
		"somebody wants it":      {func(ctx context.Context, p *sandbox.Program) { _ = p.Settle(ctx) }, true},
		"the program was closed": {func(ctx context.Context, p *sandbox.Program) { _ = p.Close(ctx) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var begun atomic.Bool
				p := sandbox.NewProgram(standIn{unstartable{}, func(context.Context) (engine.Module, error) {
					begun.Store(true)
					return nil, errors.New("no compiler")
				}})
				tc.meanwhile(t.Context(), p)
				synctest.Wait()
				require.Equal(t, tc.want, begun.Load())
				require.NoError(t, p.Close(t.Context()))
			})
		})
	}
}

// start has a program prepare what its sandboxes start from.
func start(ctx context.Context, p *sandbox.Program) {
	if tpl, err := sandbox.New(p, nil, sandbox.Policy{}); err == nil {
		_ = tpl.Probe(ctx)
	}
}
