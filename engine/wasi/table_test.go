package wasi

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescriptorsThatAreNotOpen(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{})
	for _, fd := range []uint64{3, 200, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		g.gives(eBADF, "fd_close", fd)
		g.gives(eBADF, "fd_fdstat_get", fd, 0)
		g.gives(eBADF, "fd_filestat_get", fd, 0)
		g.gives(eBADF, "fd_prestat_get", fd, 0)
		g.gives(eBADF, "fd_prestat_dir_name", fd, 0, 0)
		g.gives(eBADF, "fd_seek", fd, 0, 0, 0)
		g.gives(eBADF, "fd_renumber", fd, 0)
		g.gives(eBADF, "fd_renumber", 0, fd)
		g.on(eBADF, "path_create_directory", uint32(fd), "d")
	}
}

func TestPreopenedDirectories(t *testing.T) {
	t.Parallel()
	first, second := mount(t, t.TempDir(), ReadOnly), mount(t, t.TempDir(), ReadWrite)
	first.Guest, second.Guest = "/a", "/data/b"
	g := newGuest(t, Config{Mounts: []Mount{first, second}})
	for fd, want := range map[uint64]string{3: "/a", 4: "/data/b"} {
		g.ok("fd_prestat_get", fd, out)
		require.Equal(t, uint32(prestatDirectory), g.u32(out))
		require.Equal(t, uint32(len(want)), g.u32(out+4))
		at := g.alloc(len(want) + 1)
		g.ok("fd_prestat_dir_name", fd, uint64(at), uint64(len(want)+1))
		require.Equal(t, want+"\x00", string(g.mem[at:int(at)+len(want)+1]))
		g.gives(eNAMETOOLONG, "fd_prestat_dir_name", fd, uint64(at), uint64(len(want)-1))
		g.gives(eFAULT, "fd_prestat_dir_name", fd, uint64(len(g.mem)-1), uint64(len(want)))
		g.gives(eFAULT, "fd_prestat_get", fd, uint64(len(g.mem)-7))
	}
	g.gives(eBADF, "fd_prestat_get", 5, out)
	g.gives(eBADF, "fd_prestat_get", 0, out)
}

// TestResultLetsGuestsFindTheirMounts: guests look for preopened directories from
// fd 3 on and stop at the first number that is not open.
func TestResultLetsGuestsFindTheirMounts(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Config{Result: new(bytes.Buffer), Mounts: []Mount{mount(t, t.TempDir(), ReadOnly)}})
	g.ok("fd_prestat_get", 3, out)
	require.NotEqual(t, uint32(prestatDirectory), g.u32(out), "fd 3 passes for a directory")
	g.gives(eBADF, "fd_prestat_dir_name", 3, out, 8)
	g.ok("fd_prestat_get", 4, out)
	require.Equal(t, uint32(prestatDirectory), g.u32(out))
}

func TestCloseStreamsAndMounts(t *testing.T) {
	t.Parallel()
	m := mount(t, tree(t, map[string]string{"f": "hello"}), ReadOnly)
	g := newGuest(t, Config{Mounts: []Mount{m}})
	for fd := range uint64(4) {
		g.ok("fd_close", fd)
		g.gives(eBADF, "fd_close", fd)
		g.gives(eBADF, "fd_fdstat_get", fd, out)
	}
	_, err := m.Root.Stat("f")
	require.NoError(t, err, "closing a mount closed the root of its owner")
}

func TestFilesNeverTakeTheNumberOfAStream(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "hello"}), ReadOnly)
	for fd := range uint64(3) {
		g.ok("fd_close", fd)
	}
	require.Equal(t, uint32(4), g.opened(root, "f", toRead))
	second := g.opened(root, "f", toRead)
	g.ok("fd_close", 4)
	require.Equal(t, uint32(4), g.opened(root, "f", toRead), "the lowest free number")
	require.Equal(t, uint32(5), second)
}

func TestRenumber(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"a": "text of a", "b": "text of b"}), ReadOnly)
	for name, to := range map[string]uint32{"a file": g.opened(root, "b", toRead), "a stream": 1, "stdin": 0} {
		from := g.opened(root, "a", toRead)
		g.ok("fd_renumber", uint64(from), uint64(to))
		text, e, err := g.read(to, 100)
		require.NoError(t, err)
		require.Equal(t, eSUCCESS, e, name)
		require.Equal(t, "text of a", text, name)
		g.gives(eBADF, "fd_close", uint64(from))
		g.gives(eBADF, "fd_renumber", uint64(to), uint64(from))
	}
	g.ok("fd_renumber", root, root)
	g.opened(root, "a", toRead)
}

func TestRenumberOverAMount(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"sub/inner": "x"})
	g := rooted(t, dir, ReadWrite)
	sub := g.opened(root, "sub", toRead)
	g.ok("fd_renumber", uint64(sub), root)
	g.opened(root, "inner", toRead)
	g.gives(eBADF, "fd_prestat_get", root, out)
	require.NoError(t, g.system.Close())
	require.Equal(t, "x", content(t, dir, "sub/inner"))
}

func TestRenumberAMountOverAStream(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "x"}), ReadOnly)
	g.ok("fd_renumber", root, 0)
	g.ok("fd_prestat_get", 0, out)
	require.Equal(t, uint64(1), g.status(eSUCCESS, 0, "f", 0).size)
}

func TestOpenFilesAreBounded(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "hello", "d/": ""}), ReadWrite)
	g.mem = make([]byte, 1<<20)
	for i := 4; i < maxFiles; i++ {
		g.opened(root, []string{"f", "d"}[i%2], toRead)
	}
	_, e := g.open(root, "f", toRead)
	require.Equal(t, eMFILE, e)
	_, e = g.open(root, "new", toCreate)
	require.Equal(t, eMFILE, e)
	g.status(eNOENT, root, "new", 0)
	g.ok("fd_close", 100)
	require.Equal(t, uint32(100), g.opened(root, "f", toRead))
}

func TestRightsOnlyShrink(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "hello"}), ReadWrite)
	fd := g.opened(root, "f", toWrite)
	_, base, _ := g.fdstat(fd)
	require.Equal(t, rightsRegular, base)

	kept := rightFdRead | rightFdWrite
	g.ok("fd_fdstat_set_rights", uint64(fd), uint64(kept), 0)
	_, base, inheriting := g.fdstat(fd)
	require.Equal(t, kept, base)
	require.Zero(t, inheriting)
	g.gives(eNOTCAPABLE, "fd_fdstat_set_rights", uint64(fd), uint64(kept|rightFdSeek), 0)
	g.gives(eNOTCAPABLE, "fd_fdstat_set_rights", uint64(fd), uint64(kept), 1)
	g.gives(eNOTCAPABLE, "fd_fdstat_set_rights", uint64(fd), 1<<64-1, 1<<64-1)
	g.gives(eNOTCAPABLE, "fd_seek", uint64(fd), 0, 0, out)
	g.gives(eNOTCAPABLE, "fd_tell", uint64(fd), out)
	g.gives(eNOTCAPABLE, "fd_filestat_get", uint64(fd), out)
	g.gives(eNOTCAPABLE, "fd_filestat_set_size", uint64(fd), 0)
	g.gives(eNOTCAPABLE, "fd_fdstat_set_flags", uint64(fd), 0)
	g.gives(eNOTCAPABLE, "fd_sync", uint64(fd))
}

func (g *guest) fdstat(fd uint32) (k kind, base, inheriting rights) {
	g.tb.Helper()
	at := g.alloc(sizeFdstat)
	g.ok("fd_fdstat_get", uint64(fd), uint64(at))
	return kind(g.mem[at]), rights(g.u64(at + 8)), rights(g.u64(at + 16))
}

func TestRightsOfADirectoryBindWhatIsOpenedThere(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "hello", "d/": ""}), ReadWrite)
	g.ok("fd_fdstat_set_rights", root, uint64(rightPathOpen), uint64(rightsAll&^rightFdWrite))
	_, e := g.open(root, "f", toWrite)
	require.Equal(t, eNOTCAPABLE, e, "open to write")
	_, e = g.open(root, "new", opening{oflags: openCreate})
	require.Equal(t, eNOTCAPABLE, e, "create")
	_, e = g.open(root, "f", opening{oflags: openTruncate})
	require.Equal(t, eNOTCAPABLE, e, "truncate")
	g.on(eNOTCAPABLE, "path_create_directory", root, "new")
	g.on(eNOTCAPABLE, "path_remove_directory", root, "d")
	g.on(eNOTCAPABLE, "path_unlink_file", root, "f")
	g.rename(eNOTCAPABLE, root, "f", root, "g")
	g.link(eNOTCAPABLE, root, "f", root, "g")
	g.symlink(eNOTCAPABLE, "f", root, "g")
	g.status(eNOTCAPABLE, root, "f", 0)

	sub := g.opened(root, "d", toRead)
	_, base, inheriting := g.fdstat(sub)
	require.Equal(t, rightsDirectory, base)
	require.Equal(t, rightsAll&^rightFdWrite, inheriting)
	_, e = g.open(sub, "new", toCreate)
	require.Equal(t, eNOTCAPABLE, e, "create to write, one directory down")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "12345"})
	g := rooted(t, dir, ReadWrite)
	fd := g.opened(root, "f", opening{rights: rightsAll, flags: flagAppend | flagNonblock})
	_, _ = g.write(fd, "67")
	require.Equal(t, "1234567", content(t, dir, "f"))

	g.ok("fd_fdstat_set_flags", uint64(fd), 0)
	g.ok("fd_seek", uint64(fd), 0, 0, out)
	_, _ = g.write(fd, "ab")
	require.Equal(t, "ab34567", content(t, dir, "f"))

	g.gives(eNOTSUP, "fd_fdstat_set_flags", uint64(fd), uint64(flagSync))
	g.gives(eINVAL, "fd_fdstat_set_flags", uint64(fd), uint64(flagsAll)+1)
	g.gives(eINVAL, "fd_fdstat_set_flags", uint64(fd), 1<<16)
	g.ok("fd_fdstat_set_flags", 1, uint64(flagAppend))
}

func TestSynchronousFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := rooted(t, dir, ReadWrite)
	for _, flags := range []fdflags{flagSync, flagDsync, flagRsync, flagsAll} {
		fd := g.opened(root, "f", opening{rights: rightsAll, oflags: openCreate, flags: flags})
		_, _ = g.write(fd, "x")
		g.ok("fd_sync", uint64(fd))
		g.ok("fd_datasync", uint64(fd))
		g.ok("fd_fdstat_set_flags", uint64(fd), uint64(flags))
	}
	g.ok("fd_sync", root)
	require.Equal(t, "xx", content(t, dir, "f"), "all but the appending one write over each other")
}

func TestClosedSystemIsEmpty(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "x"}), ReadOnly)
	g.opened(root, "f", toRead)
	require.NoError(t, g.system.Close())
	for fd := range uint64(6) {
		g.gives(eBADF, "fd_close", fd)
	}
	require.NoError(t, g.system.Close(), "a second time")
}
