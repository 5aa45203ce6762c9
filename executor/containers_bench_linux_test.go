package executor

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/ram"
)

// BenchmarkContainers tells the memory of a thousand initialised containers, of
// one module, of a hundred, and of one each, which ran once. One came before them:
// what the first of all costs does not count.
func BenchmarkContainers(b *testing.B) {
	const containers = 1000
	for _, tc := range []struct {
		name    string
		modules int
		binary  func(n int) []byte
	}{
		{"wat/modules=1", 1, func(int) []byte { return addGuest(b) }},
		{"go/modules=1", 1, func(int) []byte { return goAddGuest(b) }},
		{"wat/modules=100", 100, func(n int) []byte { return answerGuest(fmt.Sprintf(`{"n":%d}`, n)) }},
		{"wat/modules=1000", containers, func(n int) []byte { return answerGuest(fmt.Sprintf(`{"n":%d}`, n)) }},
	} {
		b.Run(tc.name, func(b *testing.B) {
			f := newFixture(b)
			activate(b, f, "first", tc.binary(0))
			before := residentBytes()
			total := 0
			for b.Loop() {
				for n := range containers {
					activate(b, f, fmt.Sprintf("c%d", total), tc.binary(n%tc.modules))
					total++
				}
			}
			grown := residentBytes() - before
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(grown/(1<<20), "RSS-MiB")
			b.ReportMetric(grown/(1<<10)/float64(total), "KiB/container")
		})
	}
}

func activate(b *testing.B, f *fixture, container string, binary []byte) {
	b.Helper()
	url := f.multiplexed + "/" + container
	f.init(url, binary)
	require.Equal(b, 200, f.run(url, `{"param1":3,"param2":4}`).status)
}

// residentBytes is the memory that this process has in RAM, after the collector
// gave back what it could.
func residentBytes() float64 {
	debug.FreeOSMemory()
	return float64(ram.Resident(os.Getpid()))
}
