package wasi

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/engine"
)

// fuzzed reads what a fuzzer made up.
type fuzzed struct{ data []byte }

func (f *fuzzed) byte() byte {
	if len(f.data) == 0 {
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return b
}

// word favours small numbers, those near the ends of the memory, and huge ones.
func (f *fuzzed) word() uint64 {
	switch b := f.byte(); b % 8 {
	case 0, 1, 2:
		return uint64(b / 8)
	case 3:
		return uint64(f.byte()) * 8
	case 4:
		return engine.PageSize - uint64(f.byte())
	case 5:
		return 1<<32 - 1 - uint64(f.byte())
	case 6:
		return 1<<64 - 1 - uint64(f.byte())
	default:
		var word [8]byte
		for i := range word {
			word[i] = f.byte()
		}
		return binary.LittleEndian.Uint64(word[:])
	}
}

// FuzzFunctions calls functions in any order with any parameters over any memory.
// Whatever they do, they neither panic nor reach what lies beside the mount.
func FuzzFunctions(f *testing.F) {
	f.Add([]byte{0}, []byte("f\x00d/inner\x00../secret/file\x00/etc/passwd\x00relative/file"))
	for i := range functions {
		f.Add(bytes.Repeat([]byte{byte(i), 3 << 3, 8, 3, 2}, 8), bytes.Repeat([]byte("../f"), 64))
	}
	f.Fuzz(func(t *testing.T, calls, memory []byte) {
		dir := jail(t)
		readOnly := tree(t, map[string]string{"f": "text", "d/inner": "x"})
		beside := snapshot(t, filepath.Join(filepath.Dir(dir), "secret"))
		kept := snapshot(t, readOnly)

		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // for what waits
		defer cancel()
		g := newGuest(t, Config{
			Args: []string{"a"}, Env: []string{"A=1"}, Stdin: bytes.NewReader(memory),
			Mounts: []Mount{mount(t, dir, ReadWrite), mount(t, readOnly, ReadOnly)},
		})
		copy(g.mem, memory)
		in := &fuzzed{calls}
		for range 64 {
			if len(in.data) == 0 {
				break
			}
			fn := &functions[int(in.byte())%len(functions)]
			stack := make([]uint64, max(1, len(fn.params)))
			for i := range stack {
				stack[i] = in.word()
			}
			if err := fn.call(NewContext(ctx, g.system), g.mem, stack); err == nil {
				require.LessOrEqual(t, stack[0], uint64(eNOTCAPABLE), fn.name)
			}
		}

		require.LessOrEqual(t, len(g.system.fds), maxFiles)
		require.Equal(t, beside, snapshot(t, filepath.Join(filepath.Dir(dir), "secret")))
		require.Equal(t, kept, snapshot(t, readOnly))
		require.NoError(t, os.RemoveAll(dir))
	})
}

// FuzzPaths opens any path, after making a link with any target.
func FuzzPaths(f *testing.F) {
	for _, path := range escapes {
		f.Add(path, path)
		f.Add("l/"+path, "d/..")
	}
	f.Fuzz(func(t *testing.T, path, target string) {
		if len(path) > maxPath || len(target) > maxPath {
			return
		}
		dir := jail(t)
		outside := filepath.Dir(dir)
		require.NoError(t, os.Remove(filepath.Join(dir, "f")))
		g := rooted(t, dir, ReadWrite)
		p, n := g.put(target)
		q, m := g.put("l")
		_, err := g.call("path_symlink", p, n, root, q, m)
		require.NoError(t, err)
		for _, how := range []opening{toRead, toCreate, {nofollow: true, rights: rightsAll, oflags: openCreate | openTruncate}} {
			fd, e := g.open(root, path, how)
			if e != eSUCCESS {
				continue
			}
			if text, e, _ := g.read(fd, 100); e == eSUCCESS {
				require.NotContains(t, text, "secret", "path_open(%q), l -> %q", path, target)
			}
			g.ok("fd_close", uint64(fd))
		}
		require.Equal(t, "secret", content(t, outside, "secret/file"))
		require.NoFileExists(t, filepath.Join(outside, "secret/new"))
	})
}

// FuzzSplit holds split to what it promises: the name is a single component, and
// the parts lead where the whole does.
func FuzzSplit(f *testing.F) {
	for _, path := range append([]string{"a", "a/b/", ".", "a/.", "a//b//"}, escapes...) {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		parent, name, _ := split(path)
		if filepath.IsAbs(path) {
			return
		}
		require.NotContains(t, name, "/")
		require.NotEqual(t, "..", name)
		require.Equal(t, filepath.Clean(path), filepath.Clean(join(parent, name)))
	})
}
