package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/ram"
	"wasmwhisk/whisk"
)

// BenchmarkInvoke compares a blocking invocation through the API, whose record
// is durable before the answer, with /run of the same action and with an echo
// server: three processes that are asked in turns. With relaxed syncs no disk is
// waited for: what is left is the work of the API.
func BenchmarkInvoke(b *testing.B) {
	program := built(b, "wasmwhisk/cmd/executor")
	at := freeAddress(b)
	reference := launch(b, at, built(b, "./testdata/echo"), at)
	defer reference.kill()
	for _, sync := range []struct {
		name string
		args []string
	}{{"durable", nil}, {"relaxed", []string{"--relaxed-sync"}}} {
		runAt := freeAddress(b)
		s := launchAPI(b, program, b.TempDir(), append(sync.args, "--runtime-addr", runAt)...)
		defer s.kill()
		prepareAdd(b, s.address, runAt)
		for _, conns := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/conns=%d", sync.name, conns), func(b *testing.B) {
				run := ask(http.MethodPost, "/add/run", "application/json", whisk.Key{}, []byte(`{"value":{"param1":3,"param2":4}}`))
				benchmarkInvoke(b,
					newLoad(b, s.address, conns, postInvoke("add", resultOnly, whisk.GuestKey()), http.StatusOK),
					newLoad(b, runAt, conns, run, http.StatusOK),
					newLoad(b, at, conns, run, http.StatusOK))
			})
		}
	}
}

// prepareAdd gives the same code to the API and to the runtime protocol.
func prepareAdd(b *testing.B, api, runtime string) {
	b.Helper()
	once(b, api, putAction("add", whisk.GuestKey(), addBinary(b)), http.StatusOK)
	code, err := json.Marshal(map[string]any{"value": map[string][]byte{"code": addBinary(b)}})
	require.NoError(b, err)
	once(b, runtime, ask(http.MethodPost, "/add/init", "application/json", whisk.Key{}, code), http.StatusOK)
}

func benchmarkInvoke(b *testing.B, api, direct, echoes *load) {
	b.Helper()
	for b.Loop() {
		for _, l := range []*load{echoes, direct, api} {
			l.round(200 * time.Millisecond)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(api.rate(), "req/s")
	b.ReportMetric(api.rate()/direct.rate(), "of-run")
	b.ReportMetric(api.rate()/echoes.rate(), "of-echo")
	b.ReportMetric(api.percentile(50), "p50-µs")
	b.ReportMetric(api.percentile(99), "p99-µs")
	b.ReportMetric(direct.percentile(50), "run-p50-µs")
	b.ReportMetric(echoes.percentile(50), "echo-p50-µs")
}

// BenchmarkAccept is how many invocations are accepted per second that nobody
// waits for, each with a durable promise, while what runs holds all that the node
// has; and how many come to their records per second once that has ended.
func BenchmarkAccept(b *testing.B) {
	const holders = 8
	s := launchAPI(b, built(b, "wasmwhisk/cmd/executor"), b.TempDir(), "--max-queue", "1000000", "--max-activations", strconv.Itoa(holders))
	defer s.kill()
	once(b, s.address, putAction("add", whisk.GuestKey(), addBinary(b)), http.StatusOK)
	once(b, s.address, putAction("hold", whisk.GuestKey(), napBinary(2*time.Second)), http.StatusOK)
	l := newLoad(b, s.address, 16, postInvoke("add", "", whisk.GuestKey()), http.StatusAccepted)
	var drained time.Duration
	holding := 0
	for b.Loop() {
		for range holders {
			once(b, s.address, postInvoke("hold", "", whisk.GuestKey()), http.StatusAccepted)
		}
		l.round(time.Second)
		holding += holders
		awaitRecords(b, s.address, "hold", holding)
		began := time.Now()
		awaitRecords(b, s.address, "add", len(l.took))
		drained += time.Since(began)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(l.rate(), "accepted/s")
	b.ReportMetric(float64(len(l.took))/drained.Seconds(), "drained/s")
	b.ReportMetric(l.percentile(50), "p50-µs")
	b.ReportMetric(l.percentile(99), "p99-µs")
}

// awaitRecords waits until there are so many activation records of an action. It
// asks a hundred times a second: more often it would take the server's time.
func awaitRecords(b *testing.B, address, action string, n int) {
	b.Helper()
	c := dial(b, address)
	defer c.Close()
	request := ask(http.MethodGet, apiPath+"activations?count=true&name="+action, "application/json", whisk.GuestKey(), nil)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for got := struct{ Activations int }{-1}; got.Activations < n; <-ticker.C {
		body, err := c.want(request, http.StatusOK)
		require.NoError(b, err)
		require.NoError(b, json.Unmarshal(body, &got))
	}
}

// BenchmarkFirstAnswer is the time from the start of the process to the first
// answer of the API, a list of actions, and to that of the first invocation, with
// and without many actions stored, beside that of an empty server. Where nothing is
// stored the action is made first.
func BenchmarkFirstAnswer(b *testing.B) {
	program, constant := built(b, "wasmwhisk/cmd/executor"), built(b, "./testdata/constant")
	list := ask(http.MethodGet, apiPath+"actions?limit=1", "application/json", whisk.GuestKey(), nil)
	invoke := postInvoke("a1", resultOnly, whisk.GuestKey())
	create := putAction("a1", whisk.GuestKey(), addBinary(b))
	for _, actions := range []int{0, many()} {
		b.Run(fmt.Sprintf("actions=%d", actions), func(b *testing.B) {
			stored := b.TempDir()
			s := launchAPI(b, program, stored)
			createMany(b, s.address, actions)
			s.kill()
			state, toInvoke := func() string { return stored }, [][]byte{invoke}
			if actions == 0 { // nor is there a store
				state, toInvoke = b.TempDir, [][]byte{create, invoke}
			}
			api := func() *launched { return launchAPI(b, program, state()) }
			var answer, invocation, empty []time.Duration
			for b.Loop() {
				answer = append(answer, first(b, api, list))
				invocation = append(invocation, first(b, api, toInvoke...))
				empty = append(empty, first(b, func() *launched {
					address := freeAddress(b)
					return launch(b, address, constant, address)
				}, list))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(medianMilliseconds(answer), "answer-p50-ms")
			b.ReportMetric(medianMilliseconds(invocation), "invocation-p50-ms")
			b.ReportMetric(medianMilliseconds(empty), "empty-p50-ms")
		})
	}
}

// first is how long a server takes from its start to the answer to the last of
// some requests.
func first(b *testing.B, start func() *launched, requests ...[]byte) time.Duration {
	b.Helper()
	began := time.Now()
	s := start()
	defer s.kill()
	for _, request := range requests {
		once(b, s.address, request, http.StatusOK)
	}
	return time.Since(began)
}

func medianMilliseconds(took []time.Duration) float64 {
	slices.Sort(took)
	return milliseconds(took[len(took)/2])
}

// BenchmarkResidentActions is the memory of a server that has 10,000 actions,
// each of code of its own, after it was started again and 100 were invoked.
func BenchmarkResidentActions(b *testing.B) {
	program, state := built(b, "wasmwhisk/cmd/executor"), b.TempDir()
	s := launchAPI(b, program, state)
	createMany(b, s.address, many())
	s.kill()
	for b.Loop() {
		s := launchAPI(b, program, state)
		before := ram.Resident(s.Process.Pid)
		for k := range 100 {
			once(b, s.address, postInvoke(fmt.Sprintf("a%d", k), resultOnly, whisk.GuestKey()), http.StatusOK)
		}
		b.ReportMetric(float64(before)/(1<<20), "started-MiB")
		b.ReportMetric(float64(ram.Resident(s.Process.Pid))/(1<<20), "100-in-use-MiB")
		s.kill()
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkNeighbour is how long a namespace waits for an invocation: alone, and
// beside one that asks from eight connections. Two of those have what its limit
// allows; the other six have their invocations refused, or they only ping, which is
// what it costs to share the processors with that many requests at all.
func BenchmarkNeighbour(b *testing.B) {
	program, state := built(b, "wasmwhisk/cmd/executor"), b.TempDir()
	alice, bob := newUser(b, program, state, "alice"), newUser(b, program, state, "bob")
	s := launchAPI(b, program, state, "--limits", `{"invocationsPerMinute":-1,"concurrentInvocations":2,"firesPerMinute":-1}`)
	defer s.kill()
	for _, key := range []whisk.Key{alice, bob} {
		once(b, s.address, putAction("add", key, addBinary(b)), http.StatusOK)
	}
	ping, invoke := ask(http.MethodGet, "/ping", "text/plain", bob, nil), postInvoke("add", resultOnly, bob)
	flood := &greed{address: s.address, requests: slices.Repeat([][]byte{invoke}, 8)}
	pings := &greed{address: s.address, requests: append(slices.Repeat([][]byte{ping}, 6), invoke, invoke)}
	neighbours := []struct {
		name string
		with *greed
		wait *load
	}{{name: "alone"}, {name: "pings", with: pings}, {name: "flood", with: flood}}
	for i := range neighbours {
		neighbours[i].wait = newLoad(b, s.address, 1, postInvoke("add", resultOnly, alice), http.StatusOK)
	}
	for b.Loop() {
		for _, n := range neighbours {
			stop := n.with.begin(b)
			n.wait.round(200 * time.Millisecond)
			stop()
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, n := range neighbours {
		b.ReportMetric(n.wait.percentile(50), n.name+"-p50-µs")
		b.ReportMetric(n.wait.percentile(99), n.name+"-p99-µs")
	}
	b.ReportMetric(neighbours[2].wait.percentile(50)/neighbours[1].wait.percentile(50), "flood/pings")
	b.ReportMetric(float64(flood.refused.Load())/float64(flood.served.Load()), "refused/served")
}

func newUser(b *testing.B, program, state, name string) whisk.Key {
	b.Helper()
	text, err := exec.Command(program, "users", "create", name, "--state-dir", state).Output()
	require.NoError(b, err)
	uuid, secret, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	return whisk.Key{UUID: uuid, Secret: secret}
}
