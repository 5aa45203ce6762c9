package executor

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

// newEcho answers any request with a constant, after it has read it.
func newEcho(b *testing.B, answer string) *httptest.Server {
	b.Helper()
	constant := echo.New()
	constant.POST("/*", func(c echo.Context) error {
		if _, err := io.Copy(io.Discard, c.Request().Body); err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "application/json", []byte(answer))
	})
	server := httptest.NewServer(constant)
	b.Cleanup(server.Close)
	return server
}

// newCachedFixture is a fixture whose modules come from an engine and a cache of
// its own, as they do in the binary: heavy ones are interpreted at first, and
// compiled in a process beside.
func newCachedFixture(b *testing.B, configure ...func(*Config)) *fixture {
	b.Helper()
	_, with := tiered(b)
	return newFixture(b, append(configure, with)...)
}

// unseen makes the requests that initialize a container with a module that nobody
// has seen, and run it.
type unseen struct {
	binary []byte
	made   atomic.Int64
}

const unseenMark = "0000000000"

func newUnseen() *unseen { return &unseen{binary: answerGuest(`{"n":"` + unseenMark + `"}`)} }

type unseenModule struct {
	init, run, destroy []byte
	answer             string
}

func (u *unseen) next() unseenModule {
	n := fmt.Sprintf("%010d", u.made.Add(1))
	binary := bytes.Replace(u.binary, []byte(unseenMark), []byte(n), 1)
	return unseenModule{
		init:    rawPost("/c"+n+"/init", initBody(binary)),
		run:     rawPost("/c"+n+"/run", runBody(`{}`)),
		destroy: rawPost("/c"+n+"/destroy", ""),
		answer:  `{"n":"` + n + `"}`,
	}
}

func (m unseenModule) initAndRun(c *rawClient) error {
	if err := c.want(m.init, `{"ok":true}`); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := c.want(m.run, m.answer); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// BenchmarkUnseen is the time from the /init of a small module that nobody has
// seen to its first answer, beside two round trips to an echo server, in turns.
func BenchmarkUnseen(b *testing.B) {
	f := newCachedFixture(b)
	modules := newUnseen()
	ours := newRawClient(b, f.multiplexed, "")
	echoes := newRawClient(b, newEcho(b, `{"ok":true}`).URL, "")
	defer ours.conn.Close()
	defer echoes.conn.Close()
	var took, reference []time.Duration
	for b.Loop() {
		m := modules.next()
		began := time.Now()
		require.NoError(b, m.initAndRun(ours))
		took = append(took, time.Since(began))
		require.NoError(b, ours.want(m.destroy, ""))
		began = time.Now()
		require.NoError(b, echoes.want(m.init, `{"ok":true}`))
		require.NoError(b, echoes.want(m.run, `{"ok":true}`))
		reference = append(reference, time.Since(began))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(micros(percentile(took, 50)), "p50-µs")
	b.ReportMetric(micros(percentile(reference, 50)), "two-echoes-p50-µs")
	b.ReportMetric(micros(percentile(took, 50)-percentile(reference, 50)), "beyond-µs")
}

// BenchmarkUnseenRate is how many such modules are initialized and run per second
// by 16 connections, in turns of 100 ms with an echo server. Their containers are
// destroyed between the turns.
func BenchmarkUnseenRate(b *testing.B) {
	f := newCachedFixture(b)
	modules := newUnseen()
	echoes := newLoad(b, newEcho(b, `{"result":7}`).URL, 16, runBody(`{}`))
	defer echoes.close()
	var served atomic.Int64
	var took time.Duration
	for b.Loop() {
		var leftover [16][][]byte
		var client atomic.Int64
		began := time.Now()
		together(b, len(leftover), f.multiplexed, func(c *rawClient) error {
			mine := &leftover[client.Add(1)-1]
			for time.Since(began) < 100*time.Millisecond {
				m := modules.next()
				if err := m.initAndRun(c); err != nil {
					return err
				}
				*mine = append(*mine, m.destroy)
				served.Add(1)
			}
			return nil
		})
		took += time.Since(began)
		sendAll(b, f.multiplexed, slices.Concat(leftover[:]...))
		echoes.round()
	}
	b.ReportMetric(0, "ns/op")
	rate := float64(served.Load()) / took.Seconds()
	b.ReportMetric(rate, "modules/s")
	b.ReportMetric(echoes.rate(), "echo-req/s")
	b.ReportMetric(rate/echoes.rate(), "modules/echo-req")
}

// sendAll sends requests that are all answered with nothing.
func sendAll(b *testing.B, url string, requests [][]byte) {
	b.Helper()
	c := newRawClient(b, url, "")
	defer c.conn.Close()
	for _, r := range requests {
		require.NoError(b, c.want(r, ""))
	}
}

// together runs do by so many clients at once.
func together(b *testing.B, clients int, url string, do func(*rawClient) error) {
	b.Helper()
	var done sync.WaitGroup
	errs := make([]error, clients)
	for i := range clients {
		c := newRawClient(b, url, "")
		done.Go(func() {
			defer c.conn.Close()
			errs[i] = do(c)
		})
	}
	done.Wait()
	for _, err := range errs {
		require.NoError(b, err)
	}
}

// BenchmarkManyContainers compares 10,000 containers of 100 modules, asked in
// random order by 16 connections, with one container, in turns of 100 ms.
func BenchmarkManyContainers(b *testing.B) {
	const containers, modules = 10_000, 100
	f := newCachedFixture(b, func(c *Config) { c.Capacity = Capacity{Containers: 2 * containers} })
	all := make([][]byte, containers)
	var next atomic.Int64
	together(b, 16, f.multiplexed, func(c *rawClient) error {
		for n := next.Add(1) - 1; n < containers; n = next.Add(1) - 1 {
			id := "/c" + strconv.Itoa(int(n))
			guest := reactorWAT(1, fmt.Sprintf(`(data (i32.const 1024) "{\22result\22:7}") (data (i32.const 2048) "%d")`, n%modules), `(i64.const 4398046511116)`)
			if err := c.want(rawPost(id+"/init", initBody(guest)), `{"ok":true}`); err != nil {
				return err
			}
			all[n] = rawPost(id+"/run", runBody(`{}`))
		}
		return nil
	})
	many, one := newLoad(b, f.multiplexed, 16, ""), newLoad(b, f.multiplexed, 16, "")
	defer many.close()
	defer one.close()
	for i := range many.clients {
		many.clients[i].next = func() []byte { return all[rand.IntN(containers)] }
		one.clients[i].request = all[0]
	}
	for b.Loop() {
		one.round()
		many.round()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(one.rate(), "one-req/s")
	b.ReportMetric(many.rate(), "many-req/s")
	b.ReportMetric(many.rate()/one.rate(), "req/s-ratio")
}

// BenchmarkSpinning has 64 guests at a time spin until their deadline of 100 ms,
// for three seconds, and tells how late they are stopped, and what others wait
// for that.
func BenchmarkSpinning(b *testing.B) {
	const spinners, limit = 64, 100 * time.Millisecond
	f := newCachedFixture(b)
	f.init(f.multiplexed+"/add", addGuest(b))
	f.init(f.multiplexed+"/spin", spinGuest())
	body := runBody(`{"param1":3,"param2":4}`)
	for range b.N {
		alone := measureFor(b, f, body, 3*time.Second)
		var worst time.Duration
		var mu sync.Mutex
		stop := make(chan struct{})
		var spinning sync.WaitGroup
		spinning.Go(func() {
			together(b, spinners, f.multiplexed, func(c *rawClient) error {
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					began := time.Now()
					deadline := strconv.FormatInt(began.Add(limit).UnixMilli(), 10)
					status, answer, err := c.exchange(rawPost("/spin/run", runBody(`{}`, `"deadline":"`+deadline+`"`)))
					if err != nil || status != 502 || !strings.Contains(string(answer), "time limits") {
						return fmt.Errorf("spin: status %d, body %q, %w", status, answer, err)
					}
					mu.Lock()
					worst = max(worst, time.Since(began)-limit)
					mu.Unlock()
				}
			})
		})
		beside := measureFor(b, f, body, 3*time.Second)
		close(stop)
		spinning.Wait()
		b.ReportMetric(micros(worst)/1000, "worst-overshoot-ms")
		b.ReportMetric(micros(percentile(alone, 99))/1000, "p99-alone-ms")
		b.ReportMetric(micros(percentile(beside, 99))/1000, "p99-beside-ms")
		b.ReportMetric(micros(percentile(beside, 99)-percentile(alone, 99))/1000, "p99-added-ms")
	}
	b.ReportMetric(0, "ns/op")
}

// measureFor is how long the answers to one connection take.
func measureFor(b *testing.B, f *fixture, body string, long time.Duration) []time.Duration {
	b.Helper()
	c := newRawClient(b, f.multiplexed, body)
	defer c.conn.Close()
	took := c.ask(time.Now().Add(long))
	require.NoError(b, c.err)
	return took
}

func percentile(took []time.Duration, p int) time.Duration {
	slices.Sort(took)
	return took[len(took)*p/100]
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
