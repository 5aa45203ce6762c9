package wasi

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// bench measures one function of a guest that has a file and a mount.
func bench(b *testing.B, name string, params func(*guest) []uint64) {
	b.Helper()
	m := mount(b, tree(b, map[string]string{"f": strings.Repeat("x", 4096)}), ReadWrite)
	g := newGuest(b, Config{Stdout: io.Discard, Mounts: []Mount{m}})
	call, arguments := g.caller(name), params(g)
	b.ReportAllocs()
	for b.Loop() {
		call(arguments)
	}
}

// caller gives a function that must succeed, found before the time counts.
func (g *guest) caller(name string) func(params []uint64) {
	ctx := NewContext(g.ctx, g.system)
	i := slices.IndexFunc(functions[:], func(f function) bool { return f.name == name })
	stack := make([]uint64, max(1, len(functions[i].params)))
	return func(params []uint64) {
		copy(stack, params)
		if err := functions[i].call(ctx, g.mem, stack); err != nil || stack[0] != 0 {
			g.tb.Fatalf("%s: errno %d, %v", name, stack[0], err)
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
			open, shut := g.caller("path_open"), g.caller("fd_close")
			p, n := g.put(path)
			b.ReportAllocs()
			for b.Loop() {
				open([]uint64{root, lookupFollow, p, n, 0, uint64(rightFdRead), 0, 0, out})
				shut([]uint64{root + 1})
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
