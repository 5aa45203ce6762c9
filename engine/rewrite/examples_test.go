package rewrite_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
)

// TestExamples runs actions as they are and rewritten.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, input := range map[string]string{
		"add":   `{"param1": 3, "param2": 4}`,
		"prime": `{"upperBound": 300}`,
		"hash":  `{"iterations": 20, "input": "text"}`,
		"hello": `{"name": "Ada"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "add" {
				t.Skip("interprets Go, which takes the race detector a minute")
			}
			t.Parallel()
			binary := guesttest.Build(t, "wasmwhisk/examples/"+name, guest.Reactor)
			r := newRuntime(t, wazero.NewRuntimeConfigInterpreter())
			wasi_snapshot_preview1.MustInstantiate(context.Background(), r)
			want := act(t, r, &rewrite.Result{Binary: binary}, input)
			require.NotContains(t, want, "error")
			for variant, o := range variants() {
				result, err := rewrite.Rewrite(binary, o)
				require.NoError(t, err)
				require.Empty(t, result.Uncaptured)
				require.Empty(t, result.Unresettable)
				assert.Equal(t, want, act(t, r, result, input), variant)
			}
		})
	}
}

// act makes an activation of a reactor.
func act(t *testing.T, r wazero.Runtime, result *rewrite.Result, input string) string {
	t.Helper()
	ctx := context.Background()
	s, err := instantiate(ctx, r, result.Binary, result.Guard)
	require.NoError(t, err)
	defer s.Close(ctx)
	for _, part := range result.Image {
		require.True(t, s.Memory().Write(part.Offset, part.Data))
	}
	if result.Start != "" {
		s.must(t, result.Start)
	}
	s.must(t, "_initialize")
	at := api.DecodeU32(s.must(t, "ow_alloc", uint64(len(input)))[0])
	require.True(t, s.Memory().WriteString(at, input))
	where := s.must(t, "ow_run", uint64(at), uint64(len(input)))[0]
	out, ok := s.Memory().Read(uint32(where>>32), uint32(where))
	require.True(t, ok)
	return string(out)
}

func (s *subject) must(t *testing.T, export string, args ...uint64) []uint64 {
	t.Helper()
	results, err := s.call(context.Background(), export, args...)
	require.NoError(t, err, export)
	return results
}
