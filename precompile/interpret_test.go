package precompile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/internal/guest/guesttest"
)

// interpreting is a cache whose engine compiles in processes, and interprets
// until then.
func interpreting(t testing.TB, dir string, config ChildConfig) *Cache {
	t.Helper()
	c := inChild(t, config)
	return openCache(t, dir, c, CacheConfig{Interpreter: c.(*childCompiler).Precompiler.(engine.Interpreter)})
}

// provisional asks a cache for a module that must stand in for another.
func provisional(t testing.TB, c *Cache, binary []byte) engine.Provisional {
	t.Helper()
	m, origin, err := c.Module(t.Context(), Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.NoError(t, err)
	require.Equal(t, Interpreted, origin)
	return m.(engine.Provisional)
}

func TestInterpretedUntilCompiled(t *testing.T) {
	t.Parallel()
	binary, dir := functions(800), t.TempDir()
	require.False(t, light(binary))
	code := base64.StdEncoding.EncodeToString(binary)
	c := interpreting(t, dir, ChildConfig{})
	action, err := c.Intake(code, Limits{})
	require.NoError(t, err)
	first := provisional(t, c, action.Binary)
	want := run(t, first)
	c.Remember(action)

	final, err := first.Final(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, run(t, final))
	require.NoError(t, errors.Join(first.Close(t.Context()), first.Close(t.Context()), final.Close(t.Context())))
	assert.Zero(t, c.interpreter.bytes)
	assert.Equal(t, CacheStats{Interpreted: 1, Compiled: 1, Stored: 1}, c.Stats())

	restarted := interpreting(t, dir, ChildConfig{})
	known, err := restarted.Intake(code, Limits{})
	require.NoError(t, err)
	require.Nil(t, known.Binary, "the upload was remembered when the artefact was there")
	again, origin, err := restarted.Module(t.Context(), known)
	require.NoError(t, err)
	assert.Equal(t, Loaded, origin)
	assert.Equal(t, want, run(t, again))
	require.NoError(t, again.Close(t.Context()))
}

// watched is an interpreter whose previews are watched.
type watched struct {
	engine.Interpreter
	t       testing.TB
	preview *watchedPreview
	given   engine.Preview // to Interpret
}

func (w *watched) Preview() engine.Preview {
	w.preview = &watchedPreview{Preview: w.Interpreter.Preview(), t: w.t}
	return w.preview
}

func (w *watched) Interpret(ctx context.Context, binary []byte, p engine.Preview) (engine.Snapshotter, error) {
	w.given = p
	return w.Interpreter.Interpret(ctx, binary, p)
}

type watchedPreview struct {
	engine.Preview
	t     testing.TB
	shown []byte
	ended bool
}

func (p *watchedPreview) Show(arrived []byte) {
	require.False(p.t, p.ended)
	require.True(p.t, len(p.shown) == 0 || &p.shown[0] == &arrived[0])
	require.GreaterOrEqual(p.t, len(arrived), len(p.shown))
	p.shown = arrived
	p.Preview.Show(arrived)
}

func (p *watchedPreview) End() {
	p.ended = true
	p.Preview.End()
}

// What is large enough to be interpreted is looked at while it is unpacked.
func TestLargeUploadIsPreviewed(t *testing.T) {
	t.Parallel()
	c := interpreting(t, t.TempDir(), ChildConfig{})
	w := &watched{Interpreter: c.interpreter.engine, t: t}
	c.interpreter.engine = w
	zipped := func(binary []byte) []byte { return zipOf(t, file{name: entryName, content: string(binary)}) }
	text := base64.StdEncoding.EncodeToString

	_, err := c.Intake(text(zipped(functions(800))), Limits{})
	require.NoError(t, err)
	require.Empty(t, w.preview.shown, "less than %d bytes", previewBytes)

	binary := functions(20_000)
	require.Greater(t, len(binary), previewBytes)
	action, err := c.Intake(text(zipped(binary)), Limits{})
	require.NoError(t, err)
	require.True(t, bytes.Equal(binary, w.preview.shown))
	require.True(t, w.preview.ended)
	m, origin, err := c.Module(t.Context(), action)
	require.NoError(t, err)
	require.Equal(t, Interpreted, origin)
	require.Same(t, w.preview, w.given)
	require.NoError(t, m.Close(t.Context()))

	damaged := zipped(functions(20_001))
	damaged[len(damaged)/2] ^= 1
	_, err = c.Intake(text(damaged), Limits{})
	require.Error(t, err)
	require.True(t, w.preview.ended)
}

// What happens to a compilation is the final module's error, whether it could be
// interpreted or not.
func TestInterpretedInVain(t *testing.T) {
	t.Parallel()
	for name, bomb := range guesttest.Bombs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := interpreting(t, t.TempDir(), ChildConfig{Time: time.Second, MemoryBytes: 1 << 30})
			c.smallBinary = 0
			m, _, err := c.Module(t.Context(), Action{Binary: bomb, Hash: sha256.Sum256(bomb)})
			if first, ok := m.(engine.Provisional); ok {
				_, err = first.Final(t.Context())
				require.NoError(t, first.Close(t.Context()))
			}
			invalid, ok := errors.AsType[*engine.InvalidModuleError](err)
			require.True(t, ok, "Module and Final of %s = %v, want an InvalidModuleError", name, err)
			_, ok = errors.AsType[*engine.LimitError](invalid.Err)
			require.True(t, ok, "Module and Final of %s = %v, want a LimitError", name, err)
		})
	}
}

// A function with very many locals takes an interpreter long at each call, and a
// few bytes of them all memory that there is.
func TestManyLocalsAreNotInterpreted(t *testing.T) {
	t.Parallel()
	c := interpreting(t, t.TempDir(), ChildConfig{})
	require.Nil(t, c.interpreter.module(t.Context(), guesttest.OneFunction(5000, repeat(300, 0x02, 0x40, 0x0b)), nil), "in one function")
	require.Nil(t, c.interpreter.module(t.Context(), manyLocals(4000, 5000), nil), "together")
}

// manyLocals is a module of functions that do nothing but declare locals.
func manyLocals(locals, functions int) []byte {
	declared := append(append([]byte{1}, number(locals)...), 0x7f, 0x0b)
	body := append(number(len(declared)), declared...)
	types := append(number(functions), repeat(functions, 0)...)
	bodies := append(number(functions), bytes.Repeat(body, functions)...)
	module := append([]byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03"), number(len(types))...)
	module = append(append(module, types...), 0x0a)
	return append(append(module, number(len(bodies))...), bodies...)
}

func TestCancelledWhileInterpreted(t *testing.T) {
	t.Parallel()
	c := interpreting(t, t.TempDir(), ChildConfig{})
	c.smallBinary = 0
	first := provisional(t, c, guesttest.Bombs()["deep loops"])
	cause := errors.New("the container went")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := first.Final(ctx)
	require.ErrorIs(t, err, cause)
	require.NoError(t, first.Close(t.Context()))
}

// What nobody will compile waits for no artefact, with all of its binary.
func TestForgottenBeforeItIsCompiled(t *testing.T) {
	t.Parallel()
	c := interpreting(t, t.TempDir(), ChildConfig{})
	action, err := c.Intake(base64.StdEncoding.EncodeToString(functions(800)), Limits{})
	require.NoError(t, err)
	first := provisional(t, c, action.Binary)
	c.Remember(action)
	require.Len(t, c.awaited, 1)
	require.NoError(t, first.Close(t.Context()))
	require.Empty(t, c.awaited)
}

// Past what interpreted modules may take together, others wait for the compiler.
func TestInterpreterIsFull(t *testing.T) {
	t.Parallel()
	c := interpreting(t, t.TempDir(), ChildConfig{})
	c.interpreter.add(interpretedBytes)
	binary := functions(800)
	m, origin, err := c.Module(t.Context(), Action{Binary: binary, Hash: sha256.Sum256(binary)})
	require.NoError(t, err)
	assert.Equal(t, Compiled, origin)
	require.NoError(t, m.Close(t.Context()))
}
