package sandbox_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
	"wasmwhisk/engines/wazero"
	"wasmwhisk/internal/wat"
)

// store is one in a directory, which counts what went well.
type store struct {
	dir string

	mu            sync.Mutex
	reads, writes int
	names         map[string]bool
	err           error // of the last that read
	expected      string
}

func newStore(t *testing.T) *store { return &store{dir: t.TempDir(), names: map[string]bool{}} }

func (s *store) Read(name string, read func(dir string) error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = true
	if _, err := os.Stat(filepath.Join(s.dir, name)); err != nil {
		return false
	}
	if s.err = read(filepath.Join(s.dir, name)); s.err != nil {
		return false
	}
	s.reads++
	return true
}

func (s *store) Expect(name string) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected = name
	return func() {}
}

func (s *store) Write(name string, write func(dir string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := filepath.Join(s.dir, name)
	if os.Mkdir(dir, 0o700) == nil && write(dir) == nil {
		s.writes++
	}
}

// counts gives what went well since it was asked last.
func (s *store) counts() (reads, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reads, writes = s.reads, s.writes
	s.reads, s.writes = 0, 0
	return reads, writes
}

// process runs an action as a process of its own would: on a new engine. What is to be
// written is when it ends.
func process(t *testing.T, src string, policy sandbox.Policy) error {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	rt, err := wazero.NewCompiler(ctx, engine.Config{HostFuncs: sandbox.HostFuncs(), CheckResets: true})
	require.NoError(t, err)
	module, err := rt.Compile(ctx, wat.Must(src))
	require.NoError(t, err)
	program := sandbox.NewProgram(module)
	defer func() { assert.NoError(t, errors.Join(program.Close(ctx), rt.Close(ctx))) }()
	tpl, err := sandbox.New(program, sandbox.HostFuncs(), policy)
	require.NoError(t, err)
	if err := tpl.Probe(ctx).Err; err != nil {
		return err
	}
	for range 3 {
		if err := tpl.Run(ctx, activation(`{}`)).Err; err != nil {
			return err
		}
	}
	return nil
}

func TestStartUpIsSharedByLaterProcesses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	policy := sandbox.Policy{Store: s}
	src := starting("")
	require.NoError(t, process(t, src, policy))
	reads, writes := s.counts()
	require.Equal(t, []int{0, 1}, []int{reads, writes}, "reads and writes of the first")

	// A guest that started after all would trap: its count would be 2.
	require.NoError(t, process(t, src, policy))
	reads, writes = s.counts()
	require.Equal(t, []int{1, 0}, []int{reads, writes}, "reads and writes of the second")

	for name, other := range map[string]sandbox.Policy{
		"less memory": {Store: s, Limits: sandbox.Limits{MemoryPages: 100}},
		"a directory": func() sandbox.Policy { p := withFile(t, "ok"); p.Store = s; return p }(),
	} {
		require.NoError(t, process(t, src, other), name)
		reads, writes = s.counts()
		require.Equal(t, []int{0, 1}, []int{reads, writes}, "reads and writes with %s", name)
	}
	require.NoError(t, process(t, src, sandbox.Policy{Store: s, Env: []string{"KEY=value"}}))
	reads, _ = s.counts()
	require.Equal(t, 1, reads, "with another environment, which no start-up sees")
}

// TestExpectNamesWhatIsRead knows the name before there is a program.
func TestExpectNamesWhatIsRead(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]sandbox.Policy{
		"plain":               {},
		"a contract by name":  {Contract: abi.Reactor},
		"less memory":         {Limits: sandbox.Limits{MemoryPages: 100}},
		"a directory":         withFile(t, "ok"),
		"without a snapshot":  {NoSnapshot: true},
		"another environment": {Env: []string{"KEY=value"}},
		"the default memory":  {Limits: sandbox.Limits{}.WithDefaults()},
	} {
		s := newStore(t)
		policy.Store = s
		defer sandbox.Expect(policy)()
		require.NoError(t, process(t, starting(""), policy), name)
		require.Equal(t, !policy.NoSnapshot, s.names[s.expected], name)
	}
	sandbox.Expect(sandbox.Policy{})()
}

func TestStartUpsThatAreNotShared(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		src    string
		policy sandbox.Policy
	}{
		"asks for entropy":      {src: starting(`(drop (call $random_get (i32.const 600) (i32.const 8)))`)},
		"wants no snapshot":     {src: starting(""), policy: sandbox.Policy{NoSnapshot: true}},
		"writes tables":         {src: forgetful},
		"calls the host for it": {src: starting(`(drop (call $deadline))`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			tc.policy.Store = s
			for range 2 {
				require.NoError(t, process(t, tc.src, tc.policy))
				reads, _ := s.counts()
				require.Zero(t, reads)
			}
		})
	}
}

// A guest may remember a time that has not come yet, where a clock was set.
func TestStoredStartUpOfTheFuture(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	src := remembering(1)
	require.NoError(t, process(t, src, sandbox.Policy{Store: s}))
	for name := range s.names {
		future := strconv.FormatInt(time.Now().Add(time.Hour).UnixNano(), 10)
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, name, "clock"), []byte(future), 0o600))
	}
	s.counts()
	require.NoError(t, process(t, src, sandbox.Policy{Store: s}))
	reads, _ := s.counts()
	require.Zero(t, reads)
	require.ErrorIs(t, s.err, engine.ErrNotNow, "it may be of use later")
}

func TestStoredStartUpsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	rt, err := wazero.NewCompiler(t.Context(), engine.Config{HostFuncs: sandbox.HostFuncs()})
	require.NoError(t, err)
	module, err := rt.Compile(t.Context(), wat.Must(starting("")))
	require.NoError(t, err)
	program := sandbox.NewProgram(module)
	for n := range 10 {
		tpl, err := sandbox.New(program, sandbox.HostFuncs(), sandbox.Policy{Store: s, Limits: sandbox.Limits{MemoryPages: uint32(100 + n)}})
		require.NoError(t, err)
		require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err)
	}
	require.NoError(t, errors.Join(program.Close(t.Context()), rt.Close(t.Context())))
	_, writes := s.counts()
	require.Equal(t, 4, writes)
}

// TestStoredStartUpThatIsDamaged has what the store did not notice.
func TestStoredStartUpThatIsDamaged(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	require.NoError(t, process(t, starting(""), sandbox.Policy{Store: s}))
	require.Len(t, s.names, 1)
	for name := range s.names {
		files, err := os.ReadDir(filepath.Join(s.dir, name))
		require.NoError(t, err)
		require.Len(t, files, 2)
		require.NoError(t, os.RemoveAll(filepath.Join(s.dir, name, "snapshot", "state")))
	}
	s.counts()
	require.NoError(t, process(t, starting(""), sandbox.Policy{Store: s}))
	reads, _ := s.counts()
	require.Zero(t, reads)
	require.ErrorIs(t, s.err, os.ErrNotExist)
}

// TestFinalModuleStoresTheStartUp has guests start while they are interpreted: what is
// kept is for the artefact, and after a rehearsal if there is one.
func TestFinalModuleStoresTheStartUp(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{"as it is": starting(""), "rehearsed": rehearsing("")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			p := newTiered(t, wat.Must(src))
			tpl := p.template(sandbox.Policy{Store: s})
			run := func() { require.NoError(t, tpl.Run(t.Context(), activation(`{}`)).Err) }
			require.NoError(t, tpl.Probe(t.Context()).Err)
			run()
			reads, writes := s.counts()
			require.Equal(t, []int{0, 0}, []int{reads, writes}, "reads and writes of an interpreted guest")
			p.compile()
			run()
			require.Eventually(t, func() bool {
				_, writes := s.counts()
				return writes == 1
			}, 10*time.Second, time.Millisecond)
			require.NoError(t, process(t, src, sandbox.Policy{Store: s}))
			reads, writes = s.counts()
			require.Equal(t, []int{1, 0}, []int{reads, writes}, "reads and writes of another process")
		})
	}
}
