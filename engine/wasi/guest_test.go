package wasi

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"wasmwhisk/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// guest plays a guest: it has a memory and calls functions by their names.
type guest struct {
	tb     testing.TB
	ctx    context.Context
	system *System
	mem    engine.Memory
	used   uint32 // bytes of memory given out
}

// out is where results of calls go.
const out = 16

func newGuest(tb testing.TB, config Config) *guest {
	tb.Helper()
	s := NewSystem(config)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return &guest{tb: tb, ctx: context.Background(), system: s, mem: make(engine.Memory, engine.PageSize), used: 1024}
}

// call returns the errno, and the error that would have stopped the guest.
func (g *guest) call(name string, params ...uint64) (errno, error) {
	g.tb.Helper()
	for i := range functions {
		if f := &functions[i]; f.name == name {
			require.Len(g.tb, params, len(f.params), "parameters of %s", name)
			stack := make([]uint64, max(1, len(params)))
			copy(stack, params)
			err := f.call(NewContext(g.ctx, g.system), g.mem, stack)
			return errno(stack[0]), err
		}
	}
	g.tb.Fatalf("there is no function %s", name)
	return 0, nil
}

// gives calls a function and expects an errno.
func (g *guest) gives(want errno, name string, params ...uint64) {
	g.tb.Helper()
	got, err := g.call(name, params...)
	require.NoError(g.tb, err, "%s%v stopped the guest", name, params)
	require.Equal(g.tb, want, got, "%s%v", name, params)
}

// ok calls a function that must succeed.
func (g *guest) ok(name string, params ...uint64) {
	g.tb.Helper()
	g.gives(eSUCCESS, name, params...)
}

// alloc finds n bytes of memory.
func (g *guest) alloc(n int) uint32 {
	g.tb.Helper()
	ptr := (g.used + 7) &^ 7
	g.used = ptr + uint32(n)
	require.LessOrEqual(g.tb, int(g.used), len(g.mem), "the guest's memory is used up")
	return ptr
}

// put places data and gives its pointer and length as parameters.
func (g *guest) put(data string) (ptr, n uint64) {
	g.tb.Helper()
	p := g.alloc(len(data))
	copy(g.mem[p:], data)
	return uint64(p), uint64(len(data))
}

// iovecs places an array of buffers, given as pointers and lengths in turn.
func (g *guest) iovecs(words ...uint32) (ptr, n uint64) {
	g.tb.Helper()
	p := g.alloc(4 * len(words))
	for i, w := range words {
		binary.LittleEndian.PutUint32(g.mem[p+uint32(4*i):], w)
	}
	return uint64(p), uint64(len(words) / 2)
}

func (g *guest) u32(ptr uint32) uint32 { return binary.LittleEndian.Uint32(g.mem[ptr:]) }
func (g *guest) u64(ptr uint32) uint64 { return binary.LittleEndian.Uint64(g.mem[ptr:]) }

// write writes data to a descriptor.
func (g *guest) write(fd uint32, data string) (errno, error) {
	g.tb.Helper()
	ptr, n := g.put(data)
	iovs, count := g.iovecs(uint32(ptr), uint32(n))
	return g.call("fd_write", uint64(fd), iovs, count, out)
}

// read reads up to n bytes from a descriptor.
func (g *guest) read(fd uint32, n int) (string, errno, error) {
	g.tb.Helper()
	ptr := g.alloc(n)
	iovs, count := g.iovecs(ptr, uint32(n))
	e, err := g.call("fd_read", uint64(fd), iovs, count, out)
	if e != eSUCCESS || err != nil {
		return "", e, err
	}
	return string(g.mem[ptr : ptr+g.u32(out)]), e, nil
}

// opening is how a test opens a path. The zero value opens to read, following
// links.
type opening struct {
	nofollow bool
	oflags   oflags
	rights   rights // 0 means all but to write
	flags    fdflags
}

var (
	toRead   = opening{}
	toWrite  = opening{rights: rightsAll}
	toCreate = opening{rights: rightsAll, oflags: openCreate}
)

// open opens a path that starts from dir.
func (g *guest) open(dir uint32, path string, how opening) (uint32, errno) {
	g.tb.Helper()
	ptr, n := g.put(path)
	if how.rights == 0 {
		how.rights = rightsAll &^ rightFdWrite
	}
	follow := uint64(lookupFollow)
	if how.nofollow {
		follow = 0
	}
	e, err := g.call("path_open", uint64(dir), follow, ptr, n, uint64(how.oflags),
		uint64(how.rights), uint64(rightsAll), uint64(how.flags), out)
	require.NoError(g.tb, err)
	return g.u32(out), e
}

// opened is open for a path that must open.
func (g *guest) opened(dir uint32, path string, how opening) uint32 {
	g.tb.Helper()
	fd, e := g.open(dir, path, how)
	require.Equal(g.tb, eSUCCESS, e, "path_open(%q)", path)
	return fd
}

// on calls a function whose parameters are a directory and a path.
func (g *guest) on(want errno, name string, dir uint32, path string) {
	g.tb.Helper()
	ptr, n := g.put(path)
	g.gives(want, name, uint64(dir), ptr, n)
}

// rename renames and expects an errno.
func (g *guest) rename(want errno, fromDir uint32, from string, toDir uint32, to string) {
	g.tb.Helper()
	p, n := g.put(from)
	q, m := g.put(to)
	g.gives(want, "path_rename", uint64(fromDir), p, n, uint64(toDir), q, m)
}

// link links and expects an errno.
func (g *guest) link(want errno, fromDir uint32, from string, toDir uint32, to string) {
	g.tb.Helper()
	p, n := g.put(from)
	q, m := g.put(to)
	g.gives(want, "path_link", uint64(fromDir), 0, p, n, uint64(toDir), q, m)
}

// symlink makes a link and expects an errno.
func (g *guest) symlink(want errno, target string, dir uint32, path string) {
	g.tb.Helper()
	p, n := g.put(target)
	q, m := g.put(path)
	g.gives(want, "path_symlink", p, n, uint64(dir), q, m)
}

// status is the filestat of a path.
func (g *guest) status(want errno, dir uint32, path string, follow uint64) filestat {
	g.tb.Helper()
	ptr, n := g.put(path)
	at := g.alloc(sizeFilestat)
	g.gives(want, "path_filestat_get", uint64(dir), follow, ptr, n, uint64(at))
	return g.filestat(at)
}

func (g *guest) filestat(at uint32) filestat {
	return filestat{
		dev: g.u64(at), ino: g.u64(at + 8), kind: kind(g.mem[at+16]), nlink: g.u64(at + 24),
		size: g.u64(at + 32), atime: g.u64(at + 40), mtime: g.u64(at + 48), ctime: g.u64(at + 56),
	}
}

// tree makes a directory of files, given as path and content. A path that ends
// in a slash is a directory.
func tree(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for path, content := range files {
		full := filepath.Join(dir, path)
		require.NoError(tb, os.MkdirAll(filepath.Dir(full), 0o700))
		if path[len(path)-1] == '/' {
			require.NoError(tb, os.MkdirAll(full, 0o700))
			continue
		}
		require.NoError(tb, os.WriteFile(full, []byte(content), 0o600))
	}
	return dir
}

// mount mounts a directory of the host.
func mount(tb testing.TB, dir string, access Access) Mount {
	tb.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(tb, err)
	tb.Cleanup(func() { root.Close() })
	return Mount{Guest: "/", Root: root, Access: access}
}

// rooted is a guest with one mount, its fd 3.
func rooted(tb testing.TB, dir string, access Access) *guest {
	tb.Helper()
	return newGuest(tb, Config{Mounts: []Mount{mount(tb, dir, access)}})
}

// root is the descriptor of the first mount.
const root = 3

// content is what a file of the host holds.
func content(tb testing.TB, path ...string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(tb, err)
	return string(b)
}
