package executor

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// reactorWAT is a reactor by hand: $ptr and $len are the input's, more holds
// what stands beside the two functions.
func reactorWAT(pages int, more, body string) []byte {
	return wat.Must(fmt.Sprintf(`(module
		%s
		(memory (export "memory") %d)
		(func (export "ow_alloc") (param i32) (result i32) (i32.const 8192))
		(func (export "ow_run") (param $ptr i32) (param $len i32) (result i64) %s))`, more, pages, body))
}

// echoGuest gives its input back.
func echoGuest() []byte {
	return reactorWAT(40, "", `(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))`)
}

// answerGuest answers with a text.
func answerGuest(answer string) []byte {
	data := fmt.Sprintf(`(data (i32.const 1024) "%s")`, strings.ReplaceAll(answer, `"`, `\22`))
	return reactorWAT(1, data, fmt.Sprintf(`(i64.const %d)`, 1024<<32|len(answer)))
}

// spinGuest never ends.
func spinGuest() []byte { return reactorWAT(1, "", `(loop $l (br $l)) (i64.const 0)`) }

// countGuest answers how often this sandbox was asked.
func countGuest() []byte {
	return reactorWAT(1, `(global $n (mut i32) (i32.const 0x30)) (data (i32.const 1024) "{\22n\22:0}")`, `
		(global.set $n (i32.add (global.get $n) (i32.const 1)))
		(i32.store8 (i32.const 1029) (global.get $n))
		(i64.const 4398046511111)`)
}

const importWrite = `(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))`

// logGuest writes "hello stdout" and "hello stderr", and echoes.
func logGuest() []byte {
	return reactorWAT(40, importWrite+`
		(data (i32.const 1024) "hello stdout\nhello stderr\n")
		(data (i32.const 2048) "\00\04\00\00\0d\00\00\00\0d\04\00\00\0d\00\00\00")`, `
		(drop (call $write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2064)))
		(drop (call $write (i32.const 2) (i32.const 2056) (i32.const 1) (i32.const 2064)))
		(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))`)
}

// floodGuest writes n times 16 KiB to stdout, in lines of 64 bytes.
func floodGuest(n int) []byte {
	return reactorWAT(1, importWrite+fmt.Sprintf(`
		(data (i32.const 1024) "{}")
		(data (i32.const 2048) "\00\20\00\00\00\40\00\00")
		(data (i32.const 8192) "%s")
		(global $n (mut i32) (i32.const %d))`, strings.Repeat(strings.Repeat("x", 63)+`\n`, 256), n), `
		(loop $l
			(drop (call $write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2064)))
			(global.set $n (i32.sub (global.get $n) (i32.const 1)))
			(br_if $l (global.get $n)))
		(i64.const 4398046511106)`)
}

// exitGuest ends itself.
func exitGuest(code int) []byte {
	return reactorWAT(1, `(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))`,
		fmt.Sprintf(`(call $exit (i32.const %d)) (unreachable)`, code))
}

// growGuest wants n more pages and traps if it gets none, else it echoes.
func growGuest(n int) []byte {
	return reactorWAT(1, "", fmt.Sprintf(`
		(if (i32.eq (memory.grow (i32.const %d)) (i32.const -1)) (then (unreachable)))
		(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))`, n))
}

// startGuest runs body in its start function.
func startGuest(body string) []byte {
	return reactorWAT(1, `(func $start `+body+`) (start $start)`, `(i64.const 0)`)
}

// fetchGuest takes a request as whisk.http_request wants it, and answers with
// the first piece of the body, or with the error that the host tells.
func fetchGuest() []byte {
	return reactorWAT(2, `
		(import "whisk" "http_request" (func $request (param i32 i32 i32 i32) (result i32)))
		(import "whisk" "http_read" (func $read (param i32 i32 i32) (result i32)))
		(import "whisk" "http_error" (func $error (param i32 i32) (result i32)))
		(data (i32.const 1024) "{\22error\22:\22")`, `
		(local $n i32)
		(local.set $n (call $request (local.get $ptr) (local.get $len) (i32.const 0) (i32.const 0)))
		(if (i32.gt_s (local.get $n) (i32.const 0))
			(then (local.set $n (call $read (local.get $n) (i32.const 65536) (i32.const 65536)))))
		(if (i32.gt_s (local.get $n) (i32.const 0))
			(then (return (i64.or (i64.const 0x1000000000000) (i64.extend_i32_u (local.get $n))))))
		(local.set $n (i32.add (i32.const 1034) (call $error (i32.const 1034) (i32.const 4096))))
		(i32.store16 (local.get $n) (i32.const 0x7d22))
		(i64.or (i64.const 0x40000000000) (i64.extend_i32_u (i32.sub (local.get $n) (i32.const 1022))))`)
}

// environGuest answers with its environment, the entries parted by a bar.
func environGuest() []byte {
	return reactorWAT(8, `
		(import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
		(data (i32.const 65528) "{\22env\22:\22")`, `
		(local $at i32) (local $end i32)
		(drop (call $sizes (i32.const 0) (i32.const 4)))
		(drop (call $get (i32.const 131072) (i32.const 65536)))
		(local.set $end (i32.add (i32.const 65536) (i32.load (i32.const 4))))
		(local.set $at (i32.const 65536))
		(loop $next
			(if (i32.eqz (i32.load8_u (local.get $at))) (then (i32.store8 (local.get $at) (i32.const 0x7c))))
			(local.set $at (i32.add (local.get $at) (i32.const 1)))
			(br_if $next (i32.lt_u (local.get $at) (local.get $end))))
		(i32.store16 (local.get $end) (i32.const 0x7d22))
		(i64.or (i64.const 0xfff800000000) (i64.extend_i32_u (i32.sub (local.get $end) (i32.const 65526))))`)
}

// fileGuest opens the file x in its directory with these flags and rights, does
// what body says with $fd, and answers with the n bytes at 4096. It traps if
// there is no such file.
func fileGuest(flags, rights int, body string) []byte {
	return reactorWAT(1, importWrite+`
		(import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
		(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
		(data (i32.const 0) "x") (data (i32.const 16) "\00\10\00\00\00\10\00\00")
		(data (i32.const 2048) "{\22file\22:\22mine\22}") (data (i32.const 24) "\00\08\00\00\0f\00\00\00")`, fmt.Sprintf(`
		(local $fd i32)
		(if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const %d) (i64.const %d) (i64.const 0) (i32.const 0) (i32.const 8))
			(then (unreachable)))
		(local.set $fd (i32.load (i32.const 8)))
		%s
		(i64.or (i64.const 0x100000000000) (i64.extend_i32_u (i32.load (i32.const 12))))`, flags, rights, body))
}

// writeGuest writes the file x and answers as readGuest does, which reads it.
func writeGuest() []byte {
	return fileGuest(1, 64, `(if (call $write (local.get $fd) (i32.const 24) (i32.const 1) (i32.const 12)) (then (unreachable)))
		(memory.copy (i32.const 4096) (i32.const 2048) (i32.const 15))`)
}

func readGuest() []byte {
	return fileGuest(0, 2, `(if (call $read (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 12)) (then (unreachable)))`)
}

// addGuest is the example add, written by hand.
func addGuest(t testing.TB) []byte {
	t.Helper()
	src, err := os.ReadFile("../examples/wat/add.wat")
	require.NoError(t, err)
	return wat.Must(string(src))
}

// probeGuest is testdata/probe.
func probeGuest(t testing.TB) []byte {
	t.Helper()
	return guesttest.Build(t, "wasmwhisk/executor/testdata/probe", guest.Reactor)
}

func encode(binary []byte) string { return base64.StdEncoding.EncodeToString(binary) }

// zipped puts files, name and content in turn, into an archive.
func zipped(t testing.TB, files ...string) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		require.NoError(t, err)
		_, err = f.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return archive.Bytes()
}
