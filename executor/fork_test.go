package executor

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"wasmwhisk/internal/wat"
)

// countsArgs is a command that counts its arguments, reads its input, and answers
// with the count; or writes what goes before its read first.
func countsArgs(before string) []byte {
	return wat.Must(`(module
		(import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
		(memory (export "memory") 1)
		(data (i32.const 32) "\00\10\00\00\ff\00") (data (i32.const 48) "\40\00\00\00\0a") (data (i32.const 64) "{\22args\22:0}")
		(func (export "_start")
			(drop (call $args (i32.const 16) (i32.const 20)))
			` + before + `
			(drop (call $read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 40)))
			(i32.store8 (i32.const 72) (i32.add (i32.const 48) (i32.load (i32.const 16))))
			(drop (call $write (i32.const 1) (i32.const 48) (i32.const 1) (i32.const 40)))))`)
}

// A command is forked if both say so, the action and the operator: it finds no
// input among its arguments then.
func TestForkAnnotation(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{false, true} {
		f := newFixture(t, func(c *Config) { c.ForkCommands = allowed })
		for id, annotations := range map[string]string{"asks": `{"fork":true}`, "asks-not": `{}`} {
			url := f.multiplexed + "/" + id
			f.init(url, countsArgs(""), `"annotations":`+annotations)
			want := `{"args":2}`
			if allowed && id == "asks" {
				want = `{"args":1}`
			}
			for range 3 {
				f.wantRun(url, `{}`, 200, want)
			}
			assert.NotContains(t, f.get(url+"/logs").body, "not forked")
		}
	}
}

func TestLogsSayWhyACommandIsNotForked(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.ForkCommands = true })
	url := f.multiplexed + "/writes"
	f.init(url, countsArgs(`(drop (call $write (i32.const 2) (i32.const 48) (i32.const 1) (i32.const 40)))`), `"annotations":{"fork":true}`)
	assert.Contains(t, f.get(url+"/logs").body, "The action is not forked, but started for each activation: it calls fd_write while it starts.")
	f.wantRun(url, `{}`, 200, `{"args":2}`)
}
