package wasi

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestReadAndWriteAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := rooted(t, dir, ReadWrite)
	fd := g.opened(root, "f", toCreate)
	e, err := g.write(fd, "hello world")
	require.NoError(t, err)
	require.Equal(t, eSUCCESS, e)
	require.Equal(t, "hello world", content(t, dir, "f"))

	g.ok("fd_seek", uint64(fd), 1<<64-5, 2, out)
	require.Equal(t, uint64(6), g.u64(out))
	text, _, _ := g.read(fd, 100)
	require.Equal(t, "world", text)
	g.ok("fd_tell", uint64(fd), out)
	require.Equal(t, uint64(11), g.u64(out))
	text, _, _ = g.read(fd, 100)
	require.Empty(t, text, "at the end")
}

func TestReadAndWriteAtAnOffset(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "0123456789"})
	g := rooted(t, dir, ReadWrite)
	fd := uint64(g.opened(root, "f", toWrite))
	p, _ := g.put("abcd")
	iovs, n := g.iovecs(uint32(p), 2, uint32(p)+2, 2)
	g.ok("fd_pwrite", fd, iovs, n, 3, out)
	require.Equal(t, uint32(4), g.u32(out))
	require.Equal(t, "012abcd789", content(t, dir, "f"))

	at := g.alloc(8)
	iovs, n = g.iovecs(at, 4, at+4, 4)
	g.ok("fd_pread", fd, iovs, n, 5, out)
	require.Equal(t, uint32(5), g.u32(out))
	require.Equal(t, "cd789", string(g.mem[at:at+5]))
	g.ok("fd_pread", fd, iovs, n, 1<<40, out)
	require.Equal(t, uint32(0), g.u32(out), "beyond the end")
	g.ok("fd_tell", fd, out)
	require.Equal(t, uint64(0), g.u64(out), "the offset moved")

	for _, offset := range []uint64{1 << 63, 1<<64 - 1, math.MaxInt64} {
		g.gives(eINVAL, "fd_pread", fd, iovs, n, offset, out)
		g.gives(eINVAL, "fd_pwrite", fd, iovs, n, offset, out)
	}
}

func TestSeekHostile(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "0123456789"}), ReadOnly)
	fd := uint64(g.opened(root, "f", toRead))
	g.gives(eINVAL, "fd_seek", fd, 0, 3, out)
	g.gives(eINVAL, "fd_seek", fd, 0, 1<<32-1, out)
	g.gives(eINVAL, "fd_seek", fd, 1<<64-1, 0, out)
	g.gives(eINVAL, "fd_seek", fd, 1<<63, 1, out)
	g.ok("fd_seek", fd, 5, 0, out)
	g.gives(eFAULT, "fd_seek", fd, 1, 1, uint64(len(g.mem)-7))
	g.ok("fd_tell", fd, out)
	require.Equal(t, uint64(5), g.u64(out), "the offset moved in spite of a bad result pointer")
}

func TestResize(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "0123456789"})
	g := rooted(t, dir, ReadWrite)
	fd := uint64(g.opened(root, "f", toWrite))
	g.ok("fd_filestat_set_size", fd, 4)
	require.Equal(t, "0123", content(t, dir, "f"))
	g.ok("fd_filestat_set_size", fd, 6)
	require.Equal(t, "0123\x00\x00", content(t, dir, "f"))
	g.ok("fd_allocate", fd, 0, 3)
	require.Equal(t, "0123\x00\x00", content(t, dir, "f"))
	g.ok("fd_allocate", fd, 6, 1)
	require.Equal(t, "0123\x00\x00\x00", content(t, dir, "f"))

	g.gives(eINVAL, "fd_allocate", fd, 6, 0)
	g.gives(eFBIG, "fd_allocate", fd, 1<<64-1, 1)
	g.gives(eFBIG, "fd_allocate", fd, 1, math.MaxInt64)
	g.gives(eFBIG, "fd_allocate", fd, 1<<62, 1<<64-1)
	g.gives(eINVAL, "fd_filestat_set_size", fd, 1<<63)
	g.gives(eINVAL, "fd_filestat_set_size", fd, 1<<64-1)
}

// TestAllocateReservesNothing: a guest must not fill the disk with one call.
func TestAllocateReservesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := rooted(t, dir, ReadWrite)
	fd := uint64(g.opened(root, "f", toCreate))
	g.ok("fd_allocate", fd, 0, 1<<32)
	var st unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join(dir, "f"), &st))
	require.Equal(t, int64(1<<32), st.Size)
	require.Less(t, st.Blocks, int64(1<<10))
}

func TestAdvise(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "0123456789"}), ReadOnly)
	fd := uint64(g.opened(root, "f", toRead))
	for advice := range uint64(maxAdvice + 1) {
		g.ok("fd_advise", fd, 0, 1<<64-1, advice)
	}
	g.gives(eINVAL, "fd_advise", fd, 0, 1, maxAdvice+1)
	g.gives(eISDIR, "fd_advise", root, 0, 1, 0)
}

func TestOpenFlags(t *testing.T) {
	t.Parallel()
	files := map[string]string{"f": "text", "d/inner": "x"}
	for _, c := range []struct {
		name string
		path string
		how  opening
		want errno
	}{
		{"read", "f", toRead, eSUCCESS},
		{"missing", "g", toRead, eNOENT},
		{"create", "g", toCreate, eSUCCESS},
		{"create what is there", "f", toCreate, eSUCCESS},
		{"create exclusively", "g", opening{oflags: openCreate | openExclusive}, eSUCCESS},
		{"exclusively, but there", "f", opening{oflags: openCreate | openExclusive}, eEXIST},
		{"exclusively, but a directory", "d", opening{oflags: openCreate | openExclusive}, eEXIST},
		{"directory", "d", opening{oflags: openDirectory}, eSUCCESS},
		{"directory, to write", "d", toWrite, eISDIR},
		{"directory, created", "d", toCreate, eISDIR},
		{"directory, truncated", "d", opening{oflags: openTruncate}, eISDIR},
		{"not a directory", "f", opening{oflags: openDirectory}, eNOTDIR},
		{"create a directory", "g", opening{oflags: openCreate | openDirectory}, eINVAL},
		{"slash after a file", "f/", toRead, eNOTDIR},
		{"slash after nothing", "g/", toRead, eNOENT},
		{"slash after what to create", "g/", toCreate, eINVAL},
		{"slash after a directory", "d/", toRead, eSUCCESS},
		{"within a file", "f/x", toRead, eNOTDIR},
		{"within nothing", "g/x", toRead, eNOENT},
		{"dots", "./d/../d/./inner", toRead, eSUCCESS},
		{"the directory itself", ".", toRead, eSUCCESS},
		{"the directory itself, through another", "d/..", toRead, eSUCCESS},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := rooted(t, tree(t, files), ReadWrite)
			_, e := g.open(root, c.path, c.how)
			require.Equal(t, c.want, e, "path_open(%q)", c.path)
		})
	}
}

func TestOpenTruncates(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text"})
	g := rooted(t, dir, ReadWrite)
	g.opened(root, "f", opening{rights: rightsAll, oflags: openTruncate})
	require.Empty(t, content(t, dir, "f"))
}

func TestOpenHostile(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "text"}), ReadWrite)
	p, n := g.put("f")
	open := func(want errno, dir, lookup, path, length, oflags, flags, result uint64) {
		t.Helper()
		g.gives(want, "path_open", dir, lookup, path, length, oflags, 1<<64-1, 1<<64-1, flags, result)
	}
	open(eINVAL, root, 2, p, n, 0, 0, out)
	open(eINVAL, root, 1<<32-1, p, n, 0, 0, out)
	open(eINVAL, root, 0, p, n, 16, 0, out)
	open(eINVAL, root, 0, p, n, 0, 32, out)
	open(eFAULT, root, 0, p, n, uint64(openTruncate), 0, uint64(len(g.mem)-3))
	open(eFAULT, root, 0, uint64(len(g.mem)), 1, 0, 0, out)
	open(eNAMETOOLONG, root, 0, p, 1<<32-1, 0, 0, out)
	open(eNAMETOOLONG, root, 0, p, maxPath+1, 0, 0, out)
	open(eNOENT, root, 0, p, 0, 0, 0, out)
	open(eNOTDIR, 1, 0, p, n, 0, 0, out)
	open(eSUCCESS, root, 0, p, n, 0, 0, out)
	require.Equal(t, uint64(4), g.status(eSUCCESS, root, "f", 0).size, "truncated in spite of a bad result pointer")
}

func TestPathsThatAreNoPaths(t *testing.T) {
	t.Parallel()
	g := rooted(t, t.TempDir(), ReadWrite)
	for path, want := range map[string]errno{
		"":                                    eNOENT,
		"a\x00b":                              eINVAL,
		"a\x00":                               eINVAL,
		"\xff\xfe":                            eILSEQ,
		"a\xc0\xafb":                          eILSEQ,
		strings.Repeat("a", 256):              eNAMETOOLONG,
		strings.Repeat("a/", maxPath/2):       eNOENT,
		strings.Repeat("a/", maxPath/2) + "b": eNAMETOOLONG,
		strings.Repeat("a", maxPath+1):        eNAMETOOLONG,
	} {
		_, e := g.open(root, path, toRead)
		require.Equal(t, want, e, "path_open(%.20q…)", path)
		g.used = 1024
	}
	g.on(eNAMETOOLONG, "path_create_directory", root, strings.Repeat("a", 256))
	g.on(eILSEQ, "path_create_directory", root, "\xff")
	g.symlink(eNAMETOOLONG, strings.Repeat("a", maxTarget+1), root, "l")
	g.symlink(eILSEQ, "\xff", root, "l")
	g.symlink(eINVAL, "a\x00", root, "l")
	g.symlink(eNOENT, "", root, "l")
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text", "full/inner": "x"})
	g := rooted(t, dir, ReadWrite)
	g.on(eSUCCESS, "path_create_directory", root, "d")
	g.on(eSUCCESS, "path_create_directory", root, "d/e/")
	g.on(eEXIST, "path_create_directory", root, "d")
	g.on(eEXIST, "path_create_directory", root, "f")
	g.on(eEXIST, "path_create_directory", root, ".")
	g.on(eNOENT, "path_create_directory", root, "missing/d")
	g.on(eNOTDIR, "path_create_directory", root, "f/d")

	g.on(eNOTEMPTY, "path_remove_directory", root, "full")
	g.on(eNOTDIR, "path_remove_directory", root, "f")
	g.on(eNOENT, "path_remove_directory", root, "missing")
	g.on(eINVAL, "path_remove_directory", root, ".")
	g.on(eSUCCESS, "path_remove_directory", root, "d/e/")
	g.on(eSUCCESS, "path_remove_directory", root, "d")

	g.on(eISDIR, "path_unlink_file", root, "full")
	g.on(eISDIR, "path_unlink_file", root, "full/")
	g.on(eNOTDIR, "path_unlink_file", root, "f/")
	g.on(eNOENT, "path_unlink_file", root, "missing")
	g.on(eSUCCESS, "path_unlink_file", root, "full/inner")
	require.NoFileExists(t, filepath.Join(dir, "full/inner"))
}

func TestRename(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text", "d/inner": "x", "e/": "", "full/inner": "y"})
	g := rooted(t, dir, ReadWrite)
	sub := g.opened(root, "d", toRead)
	g.rename(eSUCCESS, root, "f", sub, "moved")
	require.Equal(t, "text", content(t, dir, "d/moved"))
	g.rename(eSUCCESS, sub, "moved", root, "e/again")
	require.Equal(t, "text", content(t, dir, "e/again"))
	g.rename(eNOTEMPTY, root, "d", root, "full")
	g.rename(eNOTDIR, root, "d", root, "e/again")
	g.rename(eNOTDIR, root, "e/again/", root, "f")
	g.rename(eNOTDIR, root, "e/again", root, "f/")
	g.rename(eINVAL, root, "d", root, "d/inside")
	g.rename(eNOENT, root, "missing", root, "f")
	g.rename(eBUSY, root, ".", root, "f")
	g.rename(eSUCCESS, root, "e/again", root, "full/inner")
	require.Equal(t, "text", content(t, dir, "full/inner"), "renamed over another")
}

func TestLinks(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text", "d/": ""})
	g := rooted(t, dir, ReadWrite)
	g.link(eSUCCESS, root, "f", root, "d/hard")
	require.Equal(t, uint64(2), g.status(eSUCCESS, root, "f", 0).nlink)
	g.link(eEXIST, root, "f", root, "d/hard")
	g.link(eEXIST, root, "f", root, "d/")
	g.link(eNOENT, root, "f", root, "new/")
	g.link(eNOTDIR, root, "f/", root, "new")
	g.link(ePERM, root, "d", root, "new")
	g.link(eNOENT, root, "missing", root, "new")
	p, n := g.put("f")
	g.gives(eINVAL, "path_link", root, lookupFollow, p, n, root, p, n)

	g.symlink(eSUCCESS, "../f", root, "d/soft")
	require.Equal(t, kindSymlink, g.status(eSUCCESS, root, "d/soft", 0).kind)
	require.Equal(t, kindRegular, g.status(eSUCCESS, root, "d/soft", lookupFollow).kind)
	g.symlink(eEXIST, "x", root, "d/soft")
	g.symlink(eNOENT, "x", root, "new/")
	text, _, _ := g.read(g.opened(root, "d/soft", toRead), 10)
	require.Equal(t, "text", text)
	_, e := g.open(root, "d/soft", opening{nofollow: true})
	require.Equal(t, eLOOP, e)
}

func TestReadlink(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text"})
	require.NoError(t, os.Symlink("some/target", filepath.Join(dir, "l")))
	g := rooted(t, dir, ReadOnly)
	readlink := func(want errno, path string, room uint64) string {
		t.Helper()
		p, n := g.put(path)
		at := uint64(g.alloc(20))
		g.gives(want, "path_readlink", root, p, n, at, room, out)
		return string(g.mem[at : at+20])
	}
	require.Equal(t, "some/target"+strings.Repeat("\x00", 9), readlink(eSUCCESS, "l", 20))
	require.Equal(t, uint32(11), g.u32(out))
	require.Equal(t, "some"+strings.Repeat("\x00", 16), readlink(eSUCCESS, "l", 4))
	require.Equal(t, uint32(4), g.u32(out))
	readlink(eINVAL, "f", 20)
	readlink(eNOENT, "missing", 20)
	readlink(eFAULT, "l", 1<<32-1)
}

func TestLinksThatLeadToLinks(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text"})
	g := rooted(t, dir, ReadWrite)
	g.symlink(eSUCCESS, "f", root, "l0")
	for i := range 10 {
		g.symlink(eSUCCESS, "l"+string(rune('0'+i)), root, "l"+string(rune('1'+i)))
	}
	g.opened(root, "l7", toRead)
	_, e := g.open(root, "l8", toRead)
	require.Equal(t, eLOOP, e)
	g.symlink(eSUCCESS, "loop", root, "loop")
	_, e = g.open(root, "loop", toRead)
	require.Equal(t, eLOOP, e)
	_, e = g.open(root, "loop/x", toRead)
	require.Equal(t, eLOOP, e)
}

func TestCreateThroughALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := rooted(t, dir, ReadWrite)
	g.symlink(eSUCCESS, "target", root, "l")
	_, e := g.open(root, "l", opening{oflags: openCreate | openExclusive})
	require.Equal(t, eEXIST, e)
	_, e = g.open(root, "l", opening{oflags: openCreate, nofollow: true})
	require.Equal(t, eLOOP, e)
	require.NoFileExists(t, filepath.Join(dir, "target"))
	g.opened(root, "l", toCreate)
	require.FileExists(t, filepath.Join(dir, "target"))
}

func TestTimes(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "text", "d/": ""}), ReadWrite)
	g.symlink(eSUCCESS, "f", root, "l")
	set := func(want errno, path string, follow, atime, mtime uint64, flags fstflags) {
		t.Helper()
		p, n := g.put(path)
		g.gives(want, "path_filestat_set_times", root, follow, p, n, atime, mtime, uint64(flags))
	}
	set(eSUCCESS, "f", 0, 1e18+1, 2e18+1, setAtime|setMtime)
	st := g.status(eSUCCESS, root, "f", 0)
	require.Equal(t, [2]uint64{1e18 + 1, 2e18 + 1}, [2]uint64{st.atime, st.mtime})

	set(eSUCCESS, "l", 0, 0, 5, setMtime)
	require.Equal(t, uint64(5), g.status(eSUCCESS, root, "l", 0).mtime)
	require.Equal(t, uint64(2e18+1), g.status(eSUCCESS, root, "f", 0).mtime, "the link was followed")
	set(eSUCCESS, "l", lookupFollow, 0, 6, setMtime)
	require.Equal(t, uint64(6), g.status(eSUCCESS, root, "f", 0).mtime)

	set(eSUCCESS, "f", 0, 0, 0, setMtimeNow)
	require.Greater(t, g.status(eSUCCESS, root, "f", 0).mtime, uint64(1e18))
	require.Equal(t, uint64(1e18+1), g.status(eSUCCESS, root, "f", 0).atime)

	set(eINVAL, "f", 0, 1, 1, setMtime|setMtimeNow)
	set(eINVAL, "f", 0, 1, 1, setAtime|setAtimeNow)
	set(eINVAL, "f", 0, 1, 1, setTimesAll+1)
	set(eINVAL, "f", 0, 1<<64-1, 0, setAtime)
	set(eINVAL, "f", 2, 0, 0, 0)
	set(eNOENT, "missing", 0, 0, 0, 0)
	set(eNOTDIR, "f/", 0, 0, 0, 0)

	for _, path := range []string{"f", "d"} {
		fd := uint64(g.opened(root, path, toRead))
		g.ok("fd_filestat_set_times", fd, 7, 8, uint64(setAtime|setMtime))
		st = g.status(eSUCCESS, root, path, 0)
		require.Equal(t, [2]uint64{7, 8}, [2]uint64{st.atime, st.mtime}, path)
	}
}

func TestFilestat(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text", "d/": ""})
	g := rooted(t, dir, ReadOnly)
	fd := g.opened(root, "f", toRead)
	at := g.alloc(sizeFilestat)
	g.ok("fd_filestat_get", uint64(fd), uint64(at))
	require.Equal(t, g.status(eSUCCESS, root, "f", 0), g.filestat(at))
	require.Equal(t, kindRegular, g.filestat(at).kind)
	require.Equal(t, uint64(4), g.filestat(at).size)
	g.ok("fd_filestat_get", root, uint64(at))
	require.Equal(t, g.status(eSUCCESS, root, ".", 0), g.filestat(at))
	require.Equal(t, kindDirectory, g.filestat(at).kind)
	g.gives(eFAULT, "fd_filestat_get", uint64(fd), uint64(len(g.mem)-63))
	g.status(eNOTDIR, root, "f/", 0)
	g.status(eSUCCESS, root, "d/", 0)

	require.NoError(t, os.Symlink("d", filepath.Join(dir, "l")))
	require.Equal(t, kindSymlink, g.status(eSUCCESS, root, "l", 0).kind)
	require.Equal(t, kindDirectory, g.status(eSUCCESS, root, "l/", 0).kind, "a slash means the directory")
}
