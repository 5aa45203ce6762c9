package sandbox_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
	"wasmwhisk/engine/abi"
	"wasmwhisk/engine/sandbox"
)

func TestEveryContract(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		contract, hint abi.Name
		src            string
		input, want    string
		logs           []string
	}{
		{contract: abi.Reactor, src: echoes, input: `{"a":1}`, want: `{"a":1}`},
		{contract: abi.Command, src: catProgram, input: `{"a":1}`, want: `{"a":1}`, logs: []string{"log"}},
		{
			contract: abi.ActionLoop, hint: abi.ActionLoop, src: loopProgram, input: "{\"a\":\n1}",
			want: `{"value":{"a":1},"activation_id":"0123"}`,
		},
		{contract: abi.Wow, src: wowEcho, input: `{"Ok":{"a":1}}`, want: `{"a":1}`},
		{contract: abi.SetInput, src: setInputEcho, input: `[1,2]`, want: `[1,2]`},
	} {
		t.Run(string(tc.contract), func(t *testing.T) {
			t.Parallel()
			forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
				tpl := template(t, rt, tc.src, sandbox.Policy{Contract: tc.hint})
				require.Equal(t, tc.contract, tpl.Contract())
				require.NoError(t, tpl.Probe(t.Context()).Err)
				a := activation(tc.input)
				a.Context = abi.Context{{Name: "activation_id", Value: "0123"}}
				out := tpl.Run(t.Context(), a)
				require.NoError(t, out.Err)
				assert.Equal(t, tc.want, string(out.Result))
				assert.Equal(t, tc.logs, texts(out.Logs))
			})
		})
	}
}

func TestExitCodesOfCommands(t *testing.T) {
	t.Parallel()
	answers := func(text string, code string) string {
		return program(`(call $say (i32.const 1) (i32.const 0) (i32.const 15)) (call $proc_exit (i32.const `+code+`))`,
			`(data (i32.const 0) "`+text+`\n")`)
	}
	forEngines(t, func(t *testing.T, rt engine.WasmRuntime) {
		out := template(t, rt, answers(`{\"error\":\"no\"}`, "0"), sandbox.Policy{}).Run(t.Context(), activation(`{}`))
		assert.Equal(t, sandbox.ApplicationError, out.Status)
		out = template(t, rt, answers(`{\"error\":\"no\"}`, "1"), sandbox.Policy{}).Run(t.Context(), activation(`{}`))
		assert.Equal(t, sandbox.ApplicationError, out.Status, "the program says itself why it failed")
		out = template(t, rt, answers(`{\"other\":\"no\"}`, "1"), sandbox.Policy{}).Run(t.Context(), activation(`{}`))
		assert.Equal(t, sandbox.DeveloperError, out.Status)
		assert.EqualError(t, out.Err, "exit code 1")
	})
}
