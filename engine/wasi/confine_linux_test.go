package wasi

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// swap exchanges two names over and over until the test has run.
func swap(t *testing.T, dir, a, b string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for ctx.Err() == nil {
			err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, a), unix.AT_FDCWD, filepath.Join(dir, b), unix.RENAME_EXCHANGE)
			if err != nil {
				t.Errorf("exchange %s and %s: %v", a, b, err)
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		swapping.Wait()
	})
}

// TestRacingLinks opens a path while, beneath it, a directory or file is being
// exchanged with a link that leads out.
func TestRacingLinks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, a, b, path string }{
		{"directory on the way", "real", "trap", "real/file"},
		{"last component", "file", "trap-file", "file"},
		{"directory to open", "real", "trap", "real"},
		{"further down", "deep/real", "deep/trap", "deep/real/../real/file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			outer := tree(t, map[string]string{
				"outside/file": "secret", "jail/real/file": "inside", "jail/file": "inside", "jail/deep/real/file": "inside",
			})
			dir := filepath.Join(outer, "jail")
			require.NoError(t, os.Symlink("../outside", filepath.Join(dir, "trap")))
			require.NoError(t, os.Symlink("../outside/file", filepath.Join(dir, "trap-file")))
			require.NoError(t, os.Symlink("../../outside", filepath.Join(dir, "deep/trap")))
			g := rooted(t, dir, ReadWrite)
			swap(t, dir, c.a, c.b)
			results := map[errno]int{}
			for i := range 3000 {
				g.used = 1024
				results[g.race(c.path, opening{nofollow: i%2 == 0, rights: rightsAll &^ (rightFdWrite * rights(i/2%2))})]++
			}
			t.Log("results:", results)
			require.Equal(t, "secret", content(t, outer, "outside/file"))
			require.NoFileExists(t, filepath.Join(outer, "outside/new"))
		})
	}
}

// race opens a path and does whatever it can with what it gets, which must not be
// the secret.
func (g *guest) race(path string, how opening) errno {
	g.tb.Helper()
	g.try("path_create_directory", path+"/new")
	g.try("path_unlink_file", path+"/gone")
	fd, e := g.open(root, path, how)
	if e != eSUCCESS {
		return e
	}
	if k, _, _ := g.fdstat(fd); k == kindDirectory {
		inner, e := g.open(fd, "file", toRead)
		require.Equal(g.tb, eSUCCESS, e, "open a file of a directory that was open")
		text, _, _ := g.read(inner, 100)
		require.Equal(g.tb, "inside", text)
		g.ok("fd_close", uint64(inner))
	} else {
		text, _, _ := g.read(fd, 100)
		require.Equal(g.tb, "inside", text)
		_, _ = g.call("fd_filestat_set_times", uint64(fd), 1, 1, uint64(setMtime))
	}
	g.ok("fd_close", uint64(fd))
	return eSUCCESS
}

// try calls a function on a path, whatever it gives.
func (g *guest) try(name, path string) {
	g.tb.Helper()
	ptr, n := g.put(path)
	_, err := g.call(name, root, ptr, n)
	require.NoError(g.tb, err)
}

// TestSpecialFilesDoNotBlock opens what would block, or have effects, if the host
// opened it.
func TestSpecialFilesDoNotBlock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(socket)
	require.NoError(t, unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(dir, "socket")}))
	require.NoError(t, os.Symlink("fifo", filepath.Join(dir, "link")))
	special := map[string]errno{"fifo": eACCES, "socket": eACCES, "link": eACCES}
	if unix.Mknod(filepath.Join(dir, "device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) == nil { // for root only
		special["device"] = eACCES
	}
	g := rooted(t, dir, ReadWrite)
	for name, want := range special {
		for _, how := range []opening{toRead, toWrite, toCreate, {oflags: openTruncate}, {oflags: openDirectory}, {flags: flagNonblock}} {
			_, e := g.open(root, name, how)
			require.Equal(t, want, e, "path_open(%q, %+v)", name, how)
			_, e = g.open(root, name+"/x", how)
			require.Equal(t, eNOTDIR, e, "path_open(%q, %+v)", name+"/x", how)
		}
	}
	require.Equal(t, kindUnknown, g.status(eSUCCESS, root, "fifo", 0).kind)
	g.rename(eSUCCESS, root, "fifo", root, "renamed")
	g.on(eSUCCESS, "path_unlink_file", root, "renamed")
}

// TestRacingFIFO exchanges a FIFO with what the guest opens. The host must get
// through, not wait for someone at the other end.
func TestRacingFIFO(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"file", "dir"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{"file": "inside", "dir/file": "inside"})
			require.NoError(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
			g := rooted(t, dir, ReadWrite)
			swap(t, dir, name, "fifo")
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 3000 {
					g.used = 1024
					fd, e := g.open(root, name, toRead)
					if e == eSUCCESS {
						g.ok("fd_close", uint64(fd))
					}
					fd, e = g.open(root, name+"/file", toRead)
					if e == eSUCCESS {
						g.ok("fd_close", uint64(fd))
					}
				}
			}()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Error("the host is blocked")
				unblock(filepath.Join(dir, "fifo"), filepath.Join(dir, name))
				<-done
			}
		})
	}
}

// unblock lets go whoever waits to open one of the FIFOs.
func unblock(paths ...string) {
	for _, path := range paths {
		if fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK, 0); err == nil {
			defer unix.Close(fd)
		}
	}
}
