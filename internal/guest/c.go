package guest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoClang means that this machine cannot build a C action.
var ErrNoClang = errors.New(`building a C action needs clang, lld, wasi-libc and compiler-rt for wasm32 (Debian: clang lld wasi-libc libclang-rt-dev-wasm32)`)

// CompileC builds a C file for wasm32-wasi as a reactor. The error is
// [ErrNoClang], a [BuildError], or that of the file system.
func CompileC(ctx context.Context, file string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "wasmwhisk-guest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if !hasClang(ctx, dir) {
		return nil, ErrNoClang
	}
	out := filepath.Join(dir, "guest.wasm")
	if said, err := clang(ctx, out, file); err != nil {
		return nil, buildError(ctx, file, said, err)
	}
	return os.ReadFile(out)
}

// hasClang tries: where there is a clang it may have no library for this target.
func hasClang(ctx context.Context, dir string) bool {
	probe := filepath.Join(dir, "probe.c")
	if os.WriteFile(probe, []byte("#include <stdlib.h>\n"), 0o600) != nil {
		return false
	}
	_, err := clang(ctx, filepath.Join(dir, "probe.wasm"), probe)
	return err == nil
}

func clang(ctx context.Context, out, file string) (said []byte, err error) {
	cmd := exec.CommandContext(ctx, "clang", "--target=wasm32-wasi", "-mexec-model=reactor",
		"-std=c11", "-Wall", "-Wextra", "-Werror", "-Os", "-s", "-o", out, file)
	said, err = cmd.CombinedOutput()
	return bytes.TrimSpace(said), err
}
