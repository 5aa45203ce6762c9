package executor

import (
	"sync/atomic"
	"testing"
)

// BenchmarkResident compares the memory that the process has in RAM after a
// million activations with that after ten thousand, by 16 connections.
func BenchmarkResident(b *testing.B) {
	for range b.N {
		f := newCachedFixture(b)
		f.init(f.multiplexed+"/add", addGuest(b))
		request := rawPost("/add/run", runBody(`{"param1":3,"param2":4}`))
		var asked atomic.Int64
		until := func(total int64) float64 {
			together(b, 16, f.multiplexed, func(c *rawClient) error {
				for asked.Add(1) <= total {
					if err := c.want(request, `{"result":7}`); err != nil {
						return err
					}
				}
				return nil
			})
			asked.Store(total)
			return residentBytes()
		}
		early := until(10_000)
		late := until(1_000_000)
		b.ReportMetric(early/(1<<20), "RSS-MiB-early")
		b.ReportMetric(late/(1<<20), "RSS-MiB-late")
		b.ReportMetric(late/early, "RSS-ratio")
	}
	b.ReportMetric(0, "ns/op")
}
