package cli

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wasmwhisk/internal/guest"
)

// sdkPackage makes a Go program a reactor.
const sdkPackage = "wasmwhisk/actionsdk"

// sourceCode gives the code of an action: a file as it is, or a Go package,
// built.
func sourceCode(ctx context.Context, path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return os.ReadFile(path)
	}
	mode, err := modeOf(ctx, path)
	if err != nil {
		return nil, err
	}
	return guest.Compile(ctx, guest.Source{Dir: path, Package: "."}, mode)
}

// modeOf tells how a Go package wants to be built: with the SDK it is a reactor,
// and a command otherwise.
func modeOf(ctx context.Context, dir string) (guest.Mode, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-f", `{{join .Imports "\n"}}`, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	said, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", guest.ErrNoToolchain
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s is no Go package: %s", dir, strings.TrimSpace(string(exit.Stderr)))
	}
	if slices.Contains(strings.Fields(string(said)), sdkPackage) {
		return guest.Reactor, err
	}
	return guest.Command, err
}

// watchEvery is how often watch looks. It looks rather than be told: editors
// replace files, and not every file system tells.
const watchEvery = 300 * time.Millisecond

// watch calls do at once, and again whenever what path names has changed, until
// ctx is done.
func watch(ctx context.Context, path string, do func()) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seed := maphash.MakeSeed()
	var last uint64
	for {
		now, err := stamp(seed, path)
		if err == nil && now != last {
			last = now
			do()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stamp changes when a file does, or one below a directory. What is hidden does
// not count.
func stamp(seed maphash.Seed, path string) (uint64, error) {
	var h maphash.Hash
	h.SetSeed(seed)
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(entry.Name(), ".") && name != path; hidden {
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := entry.Info()
		if err == nil && !info.IsDir() {
			fmt.Fprintf(&h, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	return h.Sum64(), err
}
