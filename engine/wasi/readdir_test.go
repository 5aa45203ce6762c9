package wasi

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// listed is an entry as the guest sees it.
type listed struct {
	next, ino uint64
	kind      kind
	name      string
}

// readdir reads the whole entries that fit into a buffer, and tells whether that
// was all.
func (g *guest) readdir(fd uint32, cookie uint64, room int) (entries []listed, done bool) {
	g.tb.Helper()
	g.used = 1024
	at := g.alloc(room)
	g.ok("fd_readdir", uint64(fd), uint64(at), uint64(room), cookie, out)
	b := g.mem[at : at+g.u32(out)]
	done = len(b) < room
	for len(b) >= sizeDirent {
		n := binary.LittleEndian.Uint32(b[16:])
		if len(b) < sizeDirent+int(n) {
			break
		}
		entries = append(entries, listed{
			next: binary.LittleEndian.Uint64(b),
			ino:  binary.LittleEndian.Uint64(b[8:]),
			kind: kind(b[20]),
			name: string(b[sizeDirent : sizeDirent+n]),
		})
		b = b[sizeDirent+n:]
	}
	return entries, done
}

// list reads a directory as guests do, piece by piece.
func (g *guest) list(fd uint32, room int) []listed {
	g.tb.Helper()
	var all []listed
	var cookie uint64
	for {
		entries, done := g.readdir(fd, cookie, room)
		all = append(all, entries...)
		if done {
			return all
		}
		require.NotEmpty(g.tb, entries, "no entry fits into %d bytes", room)
		cookie = entries[len(entries)-1].next
	}
}

func names(entries []listed) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.name)
	}
	slices.Sort(all)
	return all
}

func TestReaddir(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text", "d/": ""})
	require.NoError(t, os.Symlink("f", filepath.Join(dir, "l")))
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	g := rooted(t, dir, ReadOnly)
	entries := g.list(root, 4096)
	require.Equal(t, []string{".", "..", "d", "f", "fifo", "l"}, names(entries))
	want := map[string]kind{
		".": kindDirectory, "..": kindDirectory, "d": kindDirectory, "f": kindRegular, "l": kindSymlink, "fifo": kindUnknown,
	}
	for _, e := range entries {
		require.Equal(t, want[e.name], e.kind, e.name)
		if e.name == ".." {
			require.Zero(t, e.ino, "the inode of what lies outside")
			continue
		}
		require.Equal(t, g.status(eSUCCESS, root, e.name, 0).ino, e.ino, e.name)
	}
}

func TestReaddirInPieces(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	want := []string{".", ".."}
	for i := range 3*batch + 7 {
		name := fmt.Sprintf("file-%d-%s", i, strings.Repeat("x", i%40))
		files[name] = ""
		want = append(want, name)
	}
	slices.Sort(want)
	g := rooted(t, tree(t, files), ReadOnly)
	for _, room := range []int{100, 101, 256, 4096, 60000} {
		require.Equal(t, want, names(g.list(root, room)), "with %d bytes at a time", room)
	}
}

func TestReaddirGoesBack(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 2 * batch {
		files[fmt.Sprint(i)] = ""
	}
	g := rooted(t, tree(t, files), ReadOnly)
	first := g.list(root, 4096)
	for _, i := range []int{len(first) - 1, 0, 1, 2, batch, batch + 1, len(first) - 2} {
		entries, _ := g.readdir(root, first[i].next-1, 4096)
		require.Equal(t, first[i], entries[0], "entry %d", i)
	}
}

func TestReaddirSeesChangesFromTheStart(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": ""})
	g := rooted(t, dir, ReadWrite)
	require.Equal(t, []string{".", "..", "a"}, names(g.list(root, 4096)))
	g.opened(root, "b", toCreate)
	g.on(eSUCCESS, "path_unlink_file", root, "a")
	require.Equal(t, []string{".", "..", "b"}, names(g.list(root, 4096)))
}

func TestReaddirHostile(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"a": "", "d/": ""}), ReadOnly)
	for _, cookie := range []uint64{5, 1000, 1 << 63, 1<<64 - 1} {
		entries, done := g.readdir(root, cookie, 4096)
		require.Empty(t, entries, "from cookie %d", cookie)
		require.True(t, done)
	}
	require.Len(t, g.list(root, 4096), 4, "after cookies beyond the end")
	for room := range sizeDirent + 3 {
		entries, _ := g.readdir(root, 0, room)
		require.Equal(t, room > sizeDirent, len(entries) == 1, "with room for %d bytes", room)
		require.Equal(t, uint32(room), g.u32(out))
	}
	end := uint64(len(g.mem))
	g.gives(eFAULT, "fd_readdir", root, end-10, 11, 0, out)
	g.gives(eFAULT, "fd_readdir", root, 0, 1<<32-1, 0, out)
	g.gives(eFAULT, "fd_readdir", root, 0, 10, 0, end-3)
	g.gives(eNOTDIR, "fd_readdir", uint64(g.opened(root, "a", toRead)), 0, 10, 0, out)
	g.gives(eNOTDIR, "fd_readdir", 1, 0, 10, 0, out)
}

func TestReaddirLeavesOutWhatIsNoText(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a": "", "b": ""})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "no\xfftext"), nil, 0o600))
	g := rooted(t, dir, ReadOnly)
	require.Equal(t, []string{".", "..", "a", "b"}, names(g.list(root, 4096)))
}

func TestReaddirEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	g := rooted(t, tree(t, map[string]string{"a": ""}), ReadOnly)
	g.ctx = ctx
	cancel(errTimeUp)
	_, err := g.call("fd_readdir", root, 1024, 100, 2, out)
	require.Equal(t, errTimeUp, err)
}
