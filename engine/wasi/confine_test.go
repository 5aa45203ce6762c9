package wasi

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// snapshot is what a host directory holds: names, kinds, sizes and times.
func snapshot(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	held := map[string]string{}
	require.NoError(tb, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		held[path] = info.Mode().String() + info.ModTime().String()
		if entry.Type().IsRegular() {
			held[path] += content(tb, path)
		}
		return nil
	}))
	return held
}

// TestReadOnlyMountStaysAsItIs tries every way to change something.
func TestReadOnlyMountStaysAsItIs(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text", "d/inner": "x", "empty/": ""})
	require.NoError(t, os.Symlink("f", filepath.Join(dir, "l")))
	writable := mount(t, t.TempDir(), ReadWrite)
	g := newGuest(t, Config{Mounts: []Mount{mount(t, dir, ReadOnly), writable}})
	const other = root + 1
	before := snapshot(t, dir)

	sub := g.opened(root, "d", toRead)
	for _, at := range []struct {
		dir  uint32
		file string
	}{{root, "f"}, {sub, "inner"}, {root, "d/inner"}, {root, "l"}} {
		for _, how := range []opening{toWrite, toCreate, {oflags: openTruncate}, {rights: rightsAll, flags: flagAppend}} {
			_, e := g.open(at.dir, at.file, how)
			require.Equal(t, eROFS, e, "path_open(%s, %+v)", at.file, how)
		}
		g.on(eROFS, "path_unlink_file", at.dir, at.file)
		g.rename(eROFS, at.dir, at.file, at.dir, "renamed")
		g.rename(eROFS, at.dir, at.file, other, "renamed")
		g.link(eROFS, at.dir, at.file, at.dir, "linked")
		g.link(eROFS, at.dir, at.file, other, "linked")
		p, n := g.put(at.file)
		g.gives(eROFS, "path_filestat_set_times", uint64(at.dir), lookupFollow, p, n, 1, 1, uint64(setAtime|setMtime))

		fd := uint64(g.opened(at.dir, at.file, toRead))
		iovs, count := g.iovecs(0, 8)
		g.gives(eNOTCAPABLE, "fd_write", fd, iovs, count, out)
		g.gives(eNOTCAPABLE, "fd_pwrite", fd, iovs, count, 0, out)
		g.gives(eROFS, "fd_filestat_set_size", fd, 1)
		g.gives(eROFS, "fd_allocate", fd, 0, 100)
		g.gives(eROFS, "fd_filestat_set_times", fd, 1, 1, uint64(setAtime|setMtime))
	}
	for _, d := range []uint32{root, sub} {
		_, e := g.open(d, "new", toCreate)
		require.Equal(t, eROFS, e)
		g.on(eROFS, "path_create_directory", d, "new")
		g.symlink(eROFS, "f", d, "new")
		g.rename(eROFS, other, "x", d, "new")
		g.gives(eROFS, "fd_filestat_set_times", uint64(d), 1, 1, uint64(setAtime|setMtime))
	}
	g.on(eROFS, "path_remove_directory", root, "empty")
	require.Equal(t, before, snapshot(t, dir))
}

func TestReadOnlyMountOpensWhatIsThere(t *testing.T) {
	t.Parallel()
	g := rooted(t, tree(t, map[string]string{"f": "text"}), ReadOnly)
	fd := g.opened(root, "f", opening{oflags: openCreate})
	text, _, _ := g.read(fd, 10)
	require.Equal(t, "text", text)
}

func TestNothingMovesBetweenMounts(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"f": "text"})
	g := newGuest(t, Config{Mounts: []Mount{mount(t, dir, ReadWrite), mount(t, t.TempDir(), ReadWrite)}})
	g.rename(eXDEV, root, "f", root+1, "f")
	g.link(eXDEV, root, "f", root+1, "f")
	require.Equal(t, "text", content(t, dir, "f"))
}

// jail is a mount with a secret beside it, and links to the secret within that
// were there before the guest.
func jail(tb testing.TB) (dir string) {
	tb.Helper()
	outer := tree(tb, map[string]string{
		"secret/file": "secret", "jail/f": "text", "jail/d/inner": "x", "jailbreak": "secret",
	})
	dir = filepath.Join(outer, "jail")
	for name, target := range map[string]string{
		"absolute":    filepath.Join(outer, "secret"),
		"relative":    "../secret",
		"d/deep":      "../../secret",
		"to-file":     "../secret/file",
		"through":     "relative/file",
		"sneaky":      "d/../../secret",
		"slash":       "../secret/",
		"to-root":     "/",
		"dangling":    "../secret/new",
		"parent":      "..",
		"d/inner-up":  "../f",
		"to-absolute": "absolute",
	} {
		require.NoError(tb, os.Symlink(target, filepath.Join(dir, name)))
	}
	return dir
}

// escapes are paths that lead out of the jail.
var escapes = []string{
	"..", "../", "../secret", "../secret/file", "../jail/f", "../jailbreak", "d/../../secret/file",
	"d/../..", "./../secret", "d/../d/../../secret/file", "/", "/etc/passwd", "//etc/passwd",
	"absolute", "absolute/file", "absolute/", "relative", "relative/file", "relative/", "relative/.", "relative/../jail/f",
	"d/deep", "d/deep/file", "to-file", "through", "sneaky", "sneaky/file", "slash", "slash/file",
	"to-root/etc/passwd", "dangling", "parent/secret/file", "parent", "to-absolute/file", "relative//file",
}

func TestEscapesAreRefused(t *testing.T) {
	t.Parallel()
	dir := jail(t)
	outside := filepath.Dir(dir)
	before := snapshot(t, outside)
	g := rooted(t, dir, ReadWrite)
	sub := g.opened(root, "d", toRead)
	for _, path := range escapes {
		for _, how := range []opening{toRead, toWrite, toCreate, {oflags: openDirectory}, {oflags: openTruncate}} {
			_, e := g.open(root, path, how)
			require.Equal(t, eNOTCAPABLE, e, "path_open(%q, %+v)", path, how)
		}
		_, e := g.open(root, path, opening{nofollow: true, oflags: openTruncate | openCreate})
		require.Contains(t, []errno{eNOTCAPABLE, eLOOP}, e, "path_open(%q) without following", path)
		g.status(eNOTCAPABLE, root, path, lookupFollow)
		p, n := g.put(path)
		g.gives(eNOTCAPABLE, "path_filestat_set_times", root, lookupFollow, p, n, 1, 1, uint64(setAtime|setMtime))
		g.used = 1024
	}
	// From a directory further down, what lies above is out of reach too.
	for _, path := range []string{"..", "../f", "inner-up", "../d/inner", "deep/file", "../../secret/file"} {
		_, e := g.open(sub, path, toRead)
		require.Equal(t, eNOTCAPABLE, e, "path_open(d, %q)", path)
	}
	require.Equal(t, before, snapshot(t, outside))
}

// TestChangesDoNotEscape uses functions that change the name they are given.
// There the last component of a path is not followed, so only what leads to it
// can lead out.
func TestChangesDoNotEscape(t *testing.T) {
	t.Parallel()
	dir := jail(t)
	outside := filepath.Dir(dir)
	before := snapshot(t, outside)
	g := rooted(t, dir, ReadWrite)
	for _, way := range []string{"..", "../secret", "absolute", "relative", "d/deep", "sneaky", "slash", "to-root/tmp", "parent/secret", "relative/.", "d/../.."} {
		for _, name := range []string{"/file", "/new", "//file", "/./file", "/file/"} {
			path := way + name
			g.on(eNOTCAPABLE, "path_create_directory", root, path)
			g.on(eNOTCAPABLE, "path_remove_directory", root, path)
			g.on(eNOTCAPABLE, "path_unlink_file", root, path)
			g.rename(eNOTCAPABLE, root, path, root, "in")
			g.rename(eNOTCAPABLE, root, "f", root, path)
			g.link(eNOTCAPABLE, root, path, root, "in")
			g.link(eNOTCAPABLE, root, "f", root, path)
			g.symlink(eNOTCAPABLE, "f", root, path)
			p, n := g.put(path)
			g.gives(eNOTCAPABLE, "path_readlink", root, p, n, 0, 16, out)
			g.gives(eNOTCAPABLE, "path_filestat_set_times", root, 0, p, n, 1, 1, uint64(setMtime))
			g.used = 1024
		}
	}
	require.Equal(t, before, snapshot(t, outside))
}

// TestChangesThroughALinkChangeTheLink: a slash after a link, which elsewhere
// means to follow it, does not make these functions do so.
func TestChangesThroughALinkChangeTheLink(t *testing.T) {
	t.Parallel()
	dir := jail(t)
	g := rooted(t, dir, ReadWrite)
	g.on(eNOTDIR, "path_unlink_file", root, "relative/")
	g.on(eNOTDIR, "path_remove_directory", root, "relative/")
	g.on(eEXIST, "path_create_directory", root, "dangling/")
	g.rename(eNOTDIR, root, "relative/", root, "moved")
	g.link(eNOTDIR, root, "relative/", root, "moved")
	g.rename(eSUCCESS, root, "relative", root, "moved")
	g.link(eSUCCESS, root, "moved", root, "hard")
	require.Equal(t, kindSymlink, g.status(eSUCCESS, root, "hard", 0).kind)
	g.on(eSUCCESS, "path_unlink_file", root, "hard")
	g.on(eSUCCESS, "path_unlink_file", root, "moved")
	require.Equal(t, "secret", content(t, dir, "../secret/file"))
	require.NoFileExists(t, filepath.Join(dir, "../secret/new"))
}

func TestLinksThatLeadOutAreNotMade(t *testing.T) {
	t.Parallel()
	dir := jail(t)
	g := rooted(t, dir, ReadWrite)
	sub := g.opened(root, "d", toRead)
	for _, target := range []string{"/", "/etc/passwd", "..", "../", "../secret", "d/../..", "d/../../secret", "./../secret/file"} {
		g.symlink(eNOTCAPABLE, target, root, "new")
		g.symlink(eNOTCAPABLE, target, sub, "new")
	}
	g.symlink(eNOTCAPABLE, "../../secret", root, "d/new")
	g.symlink(eNOTCAPABLE, "../f", sub, "new")
	g.symlink(eSUCCESS, "../f", root, "d/new")
	g.opened(root, "d/new", toRead)
}

// TestLinksMovedByTheGuestDoNotEscape makes links that are harmless where they
// are made, and moves them to where they lead out.
func TestLinksMovedByTheGuestDoNotEscape(t *testing.T) {
	t.Parallel()
	dir := jail(t)
	g := rooted(t, dir, ReadWrite)
	g.symlink(eSUCCESS, "../secret/file", root, "d/link")
	_, e := g.open(root, "d/link", toRead)
	require.Equal(t, eNOENT, e, "where it is made")
	g.rename(eSUCCESS, root, "d/link", root, "link")
	_, e = g.open(root, "link", toRead)
	require.Equal(t, eNOTCAPABLE, e, "where it was moved to")

	g.on(eSUCCESS, "path_create_directory", root, "d/e")
	g.symlink(eSUCCESS, "../../secret", root, "d/e/up")
	g.rename(eSUCCESS, root, "d/e", root, "e")
	_, e = g.open(root, "e/up/file", toRead)
	require.Equal(t, eNOTCAPABLE, e, "after its directory was moved")
}

// TestDirectoryMovedWhileOpen: an open directory stays what it is, wherever the
// guest moves it.
func TestDirectoryMovedWhileOpen(t *testing.T) {
	t.Parallel()
	dir := jail(t)
	g := rooted(t, dir, ReadWrite)
	g.on(eSUCCESS, "path_create_directory", root, "d/e")
	inner := g.opened(root, "d/e", toRead)
	g.rename(eSUCCESS, root, "d/e", root, "e")
	for _, path := range []string{"..", "../f", "../../secret/file", "../secret/file"} {
		_, e := g.open(inner, path, toRead)
		require.Equal(t, eNOTCAPABLE, e, "path_open(%q)", path)
	}
	g.opened(inner, "new", toCreate)
	require.FileExists(t, filepath.Join(dir, "e/new"))
}

// TestResolvingEndsWithContext: what leads to a file can be long.
func TestResolvingEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	g := rooted(t, tree(t, map[string]string{"f": "text"}), ReadOnly)
	g.ctx = ctx
	cancel(errTimeUp)
	p, n := g.put("f")
	_, err := g.call("path_open", root, 0, p, n, 0, 0, 0, 0, out)
	require.Equal(t, errTimeUp, err)
	_, err = g.call("path_filestat_get", root, 0, p, n, 2048)
	require.Equal(t, errTimeUp, err)
}

// TestSystemsShareAMount lets many activations work in one directory at once.
func TestSystemsShareAMount(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"shared": "text", "d/": ""})
	m := mount(t, dir, ReadWrite)
	var running sync.WaitGroup
	for i := range 50 {
		running.Go(func() {
			g := newGuest(t, Config{Mounts: []Mount{m}})
			name := fmt.Sprint("d/", i)
			fd := g.opened(root, name, toCreate)
			_, _ = g.write(fd, name)
			g.rename(eSUCCESS, root, name, root, name+"-done")
			g.list(g.opened(root, "d", toRead), 4096)
			text, _, _ := g.read(g.opened(root, "shared", toRead), 10)
			assert.Equal(t, "text", text)
			assert.NoError(t, g.system.Close())
		})
	}
	running.Wait()
	for i := range 50 {
		name := fmt.Sprint("d/", i)
		require.Equal(t, name, content(t, dir, name+"-done"))
	}
}

// TestLongPathsAreCheap resolves the most expensive paths a guest can build, in a
// time that a deadline bears.
func TestLongPathsAreCheap(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"a/": ""})
	g := rooted(t, dir, ReadWrite)
	g.mem = make([]byte, 1<<20)
	start := time.Now()
	for _, path := range []string{
		strings.Repeat("a/../", maxPath/5), strings.Repeat("./", maxPath/2), strings.Repeat("a/", maxPath/2),
		strings.Repeat("/", maxPath-1), "a" + strings.Repeat("/", maxPath-1),
	} {
		_, _ = g.open(root, path, toRead)
		_, _ = g.open(root, path+"b", toCreate)
	}
	require.Less(t, time.Since(start), 10*time.Second)
}
