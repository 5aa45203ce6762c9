package action

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/precompile"
	"wasmwhisk/whisk"
)

func TestMergeEnv(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"A=1", "B=3=3", "C=4"}, mergeEnv([]string{"A=1", "B=2"}, []string{"B=3=3", "C=4"}))
	assert.Empty(t, mergeEnv(nil, nil))
}

func TestWishes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value string
		want       Wishes
		refused    string
	}{
		{key: "abi", value: `"wow"`, want: Wishes{ABI: abi.Wow}},
		{key: "abi", value: `null`},
		{key: "abi", value: `5`, refused: "the annotation abi must be a string"},
		{key: "dir", value: `"/tmp/x"`, want: Wishes{Dir: "/tmp/x"}},
		{key: "dir", value: `""`},
		{key: "dir", value: `"tmp"`, refused: "must be an absolute path"},
		{key: "dir", value: `"/a/../b"`, refused: "must be an absolute path"},
		{key: "net", value: `true`, want: Wishes{Hosts: []string{"*"}}},
		{key: "net_access", value: `"a.example"`, want: Wishes{Hosts: []string{"a.example"}}},
		{key: "net", value: `["a.example","*.b.example"]`, want: Wishes{Hosts: []string{"a.example", "*.b.example"}}},
		{key: "net", value: `[1]`, refused: "must be true, a host or a list of hosts"},
		{key: "snapshot", value: `false`, want: Wishes{NoSnapshot: true}},
		{key: "fork", value: `true`, want: Wishes{Fork: true}},
		{key: "fork", value: `"true"`, want: Wishes{Fork: true}},
		{key: "fork", value: `false`},
		{key: "fork", value: `1`},
		{key: "provide-api-key", value: `false`},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			t.Parallel()
			var w Wishes
			err := w.Set(c.key, json.RawMessage(c.value))
			if c.refused != "" {
				require.ErrorContains(t, err, c.refused)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, w)
		})
	}
}

func TestOwnersAreKeptApart(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "namespace-guest", ownerOf("guest", "1"))
	assert.Equal(t, "container-1", ownerOf("", "1"))
	assert.Regexp(t, "^namespace=[0-9a-f]{32}$", ownerOf("a/../b", "1"))
	assert.NotEqual(t, ownerOf("a b", ""), ownerOf("a.b", ""))
}

func TestFailure(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want whisk.Error
	}{
		{"no code", precompile.ErrNoCode, whisk.Error{Kind: whisk.Forbidden, Message: whisk.TextNoCode}},
		{
			"too large", &precompile.IntakeError{Fault: precompile.FaultSize, Message: "large"},
			whisk.Error{Kind: whisk.TooLarge, Message: "large"},
		},
		{
			"no module", &engine.InvalidModuleError{Err: assert.AnError},
			whisk.Error{Kind: whisk.ActionFault, Message: "cannot start action: " + (&engine.InvalidModuleError{Err: assert.AnError}).Error()},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got *whisk.Error
			require.ErrorAs(t, Failure(c.err, time.Minute), &got)
			assert.Equal(t, c.want, *got)
		})
	}
	assert.Equal(t, assert.AnError, Failure(assert.AnError, time.Minute), "what is our fault stays as it is")
}
