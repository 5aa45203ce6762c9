package wasi

import (
	"io"
	"strings"
	"testing"
)

// bench measures one function of a guest that has a file and a mount.
func bench(b *testing.B, name string, params func(*guest) []uint64) {
	b.Helper()
	m := mount(b, tree(b, map[string]string{"f": strings.Repeat("x", 4096)}), ReadWrite)
	g := newGuest(b, Config{Stdout: io.Discard, Mounts: []Mount{m}})
	arguments := params(g)
	stack := make([]uint64, max(1, len(arguments)))
	ctx := NewContext(g.ctx, g.system)
	var call func() error
	for i := range functions {
		if f := &functions[i]; f.name == name {
			call = func() error {
				copy(stack, arguments)
				return f.call(ctx, g.mem, stack)
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := call(); err != nil || stack[0] != 0 {
			b.Fatalf("%s: errno %d, %v", name, stack[0], err)
		}
	}
}

func BenchmarkFdWrite(b *testing.B) {
	bench(b, "fd_write", func(g *guest) []uint64 {
		iovs, n := g.iovecs(0, 64)
		return []uint64{1, iovs, n, out}
	})
}

func BenchmarkFdWriteFourBuffers(b *testing.B) {
	bench(b, "fd_write", func(g *guest) []uint64 {
		iovs, n := g.iovecs(0, 64, 0, 64, 0, 64, 0, 64)
		return []uint64{1, iovs, n, out}
	})
}

func BenchmarkFdReadAtEnd(b *testing.B) {
	bench(b, "fd_read", func(g *guest) []uint64 {
		iovs, n := g.iovecs(0, 64)
		return []uint64{0, iovs, n, out}
	})
}

func BenchmarkFdPreadFile(b *testing.B) {
	bench(b, "fd_pread", func(g *guest) []uint64 {
		iovs, n := g.iovecs(8192, 4096)
		return []uint64{uint64(g.opened(root, "f", toRead)), iovs, n, 0, out}
	})
}

func BenchmarkFdPwriteFile(b *testing.B) {
	bench(b, "fd_pwrite", func(g *guest) []uint64 {
		iovs, n := g.iovecs(8192, 4096)
		return []uint64{uint64(g.opened(root, "f", toWrite)), iovs, n, 0, out}
	})
}

func BenchmarkClockTimeGet(b *testing.B) {
	for name, id := range map[string]uint64{"realtime": clockRealtime, "monotonic": clockMonotonic} {
		b.Run(name, func(b *testing.B) {
			bench(b, "clock_time_get", func(*guest) []uint64 { return []uint64{id, 0, out} })
		})
	}
}

func BenchmarkRandomGet(b *testing.B) {
	bench(b, "random_get", func(*guest) []uint64 { return []uint64{out, 16} })
}

func BenchmarkSchedYield(b *testing.B) {
	bench(b, "sched_yield", func(*guest) []uint64 { return nil })
}

func BenchmarkPollOneoffPast(b *testing.B) {
	bench(b, "poll_oneoff", func(g *guest) []uint64 {
		in, n := g.subscribe(wanted{id: clockMonotonic})
		return []uint64{in, 2048, n, out}
	})
}

func BenchmarkPathFilestatGet(b *testing.B) {
	bench(b, "path_filestat_get", func(g *guest) []uint64 {
		p, n := g.put("f")
		return []uint64{root, lookupFollow, p, n, 2048}
	})
}

func BenchmarkFdFdstatGet(b *testing.B) {
	bench(b, "fd_fdstat_get", func(*guest) []uint64 { return []uint64{root, out} })
}

func BenchmarkOpenAndClose(b *testing.B) {
	m := mount(b, tree(b, map[string]string{"d/e/f": "text"}), ReadOnly)
	for _, path := range []string{"d", "d/e/f"} {
		b.Run(path, func(b *testing.B) {
			g := newGuest(b, Config{Mounts: []Mount{m}})
			b.ReportAllocs()
			for b.Loop() {
				g.used = 1024
				fd, e := g.open(root, path, toRead)
				if e != eSUCCESS {
					b.Fatal(e)
				}
				g.ok("fd_close", uint64(fd))
			}
		})
	}
}

func BenchmarkNewSystem(b *testing.B) {
	m := mount(b, b.TempDir(), ReadWrite)
	config := Config{
		Args: []string{"a"}, Env: []string{"A=1"}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
	}
	for name, mounts := range map[string][]Mount{"bare": nil, "with a mount": {m}} {
		b.Run(name, func(b *testing.B) {
			config.Mounts = mounts
			b.ReportAllocs()
			for b.Loop() {
				_ = NewSystem(config).Close()
			}
		})
	}
}
