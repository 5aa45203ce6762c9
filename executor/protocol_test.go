package executor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
)

func TestInitAndRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, url := range map[string]string{"multiplexed": f.multiplexed + "/some-id", "single": f.single} {
		t.Run(name, func(t *testing.T) {
			r := f.init(url, addGuest(t))
			assert.Equal(t, `{"ok":true}`, r.body)
			assert.Equal(t, "application/json", r.header.Get("Content-Type"))
			assert.Contains(t, r.header.Get(TimingHeader), "intake;dur=")
			r = f.run(url, `{"param1":3,"param2":4}`)
			assert.Equal(t, 200, r.status)
			assert.Equal(t, `{"result":7}`, r.body)
			assert.Equal(t, "12", r.header.Get("Content-Length"))
			assert.Regexp(t, `^decode;dur=[0-9.]+, instantiate;dur=[0-9.]+, run;dur=[0-9.]+$`, r.header.Get(TimingHeader))
		})
	}
}

func TestStartGivesAPort(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.post(f.multiplexed+"/start", "")
	require.Equal(t, 200, r.status, r.body)
	var started struct {
		ContainerID string `json:"containerId"`
		Port        int    `json:"port"`
	}
	require.NoError(t, json.Unmarshal([]byte(r.body), &started))
	url := "http://127.0.0.1:" + strconv.Itoa(started.Port)
	f.wantRun(url, `{}`, 500, `{"error":"no action defined yet"}`)
	f.init(url, addGuest(t))
	f.wantRun(url, `{"param1":1,"param2":2}`, 200, `{"result":3}`)
	f.wantRun(f.multiplexed+"/"+started.ContainerID, `{"param1":1,"param2":2}`, 200, `{"result":3}`)
	assert.Equal(t, 200, f.post(f.multiplexed+"/"+started.ContainerID+"/destroy", started.ContainerID).status)
	assert.Eventually(t, func() bool {
		r, err := f.try(http.MethodPost, url+"/run", strings.NewReader(`{}`))
		return err != nil || r.status == 500
	}, 10*time.Second, time.Millisecond, "the port closes")
}

func TestDestroy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	url := f.multiplexed + "/3f2504e0-4f89-11d3-9a0c-0305e82c3301"
	f.wantRun(url, `{}`, 500, `{"error":"no action defined yet"}`)
	f.init(url, echoGuest())
	f.wantRun(url, `{"a":1}`, 200, `{"a":1}`)
	for range 2 {
		r := f.post(url+"/destroy", "3f2504e0-4f89-11d3-9a0c-0305e82c3301")
		assert.Equal(t, reply{status: 200, body: "", header: r.header}, r)
		assert.Equal(t, "0", r.header.Get("Content-Length"))
	}
	f.wantRun(url, `{}`, 500, `{"error":"no action defined yet"}`)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Limits.CodeBytes = 1 << 20 })
	f.init(f.multiplexed+"/echo", echoGuest())
	long := strings.Repeat("x", whisk.MaxPayloadBytes)
	const notJSON = "Error unmarshaling request: the body is not a JSON object."
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		text                     string // exact, or its beginning if it ends in …
	}{
		{"init without JSON", "POST", "/a/init", "hello", 400, notJSON},
		{"init without body", "POST", "/a/init", "", 400, notJSON},
		{"init of nothing", "POST", "/a/init", "{}", 403, whisk.TextNoCode},
		{"init without code", "POST", "/a/init", `{"value":{"code":""}}`, 403, whisk.TextNoCode},
		{"init with bad base64", "POST", "/a/init", `{"value":{"code":"AGFzbQEA*AAA"}}`, 400, "cannot decode the request: …"},
		{"init with a broken module", "POST", "/a/init", initBody([]byte("\x00asm\x01\x00\x00\x00\xff")), 502, "cannot start action: …"},
		{"init with text", "POST", "/a/init", initBody([]byte("function main() {}")), 502, "cannot start action: …"},
		{"init with a broken zip", "POST", "/a/init", initBody([]byte("PK\x03\x04 and so on")), 502, "cannot start action: …"},
		{"init without entry point", "POST", "/a/init", initBody([]byte("\x00asm\x01\x00\x00\x00")), 502, "cannot start action: invalid module: the module exports no entry point…"},
		{"init of too much code", "POST", "/a/init", initBody(make([]byte, 1<<20+1)), 413, "the code of 1048577 bytes exceeds…"},
		{"init of far too much", "POST", "/a/init", initBody(make([]byte, 4<<20)), 413, "Request larger than allowed: …"},
		{"init with a bad id", "POST", "/a%2fb/init", initBody(echoGuest()), 400, "a container id is …"},
		{"init with dots for an id", "POST", "/..%2f/init", initBody(echoGuest()), 400, "a container id is …"},
		{"init of an import we lack", "POST", "/a/init", initBody(reactorWAT(1, `(import "env" "abort" (func))`, `(i64.const 0)`)), 502, "cannot start action: invalid module: …"},
		{"run without JSON", "POST", "/echo/run", "hello", 400, notJSON},
		{"run without body", "POST", "/echo/run", "", 400, notJSON},
		{"run of a text", "POST", "/echo/run", `{"value":"x"}`, 400, whisk.TextInputNotAnObj},
		{"run of too much", "POST", "/echo/run", `{"value":{"a":"` + long + `"}}`, 413, "Request larger than allowed: 1048584 > 1048576 bytes."},
		{"run of far too much", "POST", "/echo/run", `{"value":{"a":"` + strings.Repeat(long, 3) + `"}}`, 413, "Request larger than allowed: …"},
		{"run with a bad name", "POST", "/echo/run", `{"value":{},"a=b":1}`, 400, "…"},
		{"run of an unknown id", "POST", "/unknown/run", `{}`, 500, whisk.TextNoAction},
		{"logs of an unknown id", "GET", "/unknown/logs", "", 404, `There is no container "unknown".`},
		{"no such route", "GET", "/a/b/c", "", 404, "The requested resource does not exist."},
		{"no such method", "GET", "/a/init", "", 405, "HTTP method not allowed."},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := f.try(c.method, f.multiplexed+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			assert.Equal(t, c.status, r.status, r.body)
			if beginning, ok := strings.CutSuffix(c.text, "…"); ok {
				assert.True(t, strings.HasPrefix(errorText(t, r), beginning), "error %q", r.body)
			} else {
				assert.Equal(t, c.text, errorText(t, r))
			}
			assert.Equal(t, strconv.Itoa(len(r.body)), r.header.Get("Content-Length"))
			f.wantRun(f.multiplexed+"/echo", `{"still":"here"}`, 200, `{"still":"here"}`)
		})
	}
}

func TestSecondInitIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, echoGuest())
	r := f.post(f.single+"/init", initBody(addGuest(t)))
	assert.Equal(t, 403, r.status)
	assert.Equal(t, `{"error":"Cannot initialize the action more than once."}`, r.body)
	logs := f.stdout.String() + f.stderr.String()
	assert.Contains(t, logs, "Cannot initialize the action more than once.")
	assert.Zero(t, sentinels(logs), "sentinels after a refused init")
	f.wantRun(f.single, `{"a":1}`, 200, `{"a":1}`)
}

func TestFailedInitMayBeRepeated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.post(f.single+"/init", initBody(startGuest("unreachable")))
	assert.Equal(t, 502, r.status, r.body)
	assert.Equal(t, "cannot start action: trap: unreachable", errorText(t, r))
	assert.Equal(t, 1, sentinels(f.stdout.String()))
	assert.Equal(t, 1, sentinels(f.stderr.String()))
	assert.Contains(t, f.stderr.String(), "cannot start action: trap: unreachable\n")
	f.init(f.single, echoGuest())
	f.wantRun(f.single, `[]`, 200, `[]`)
}

func TestInitTimesOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Limits.InitTimeout = 2 * time.Second })
	r := f.post(f.single+"/init", initBody(startGuest("(loop $l (br $l))")))
	assert.Equal(t, 502, r.status)
	assert.Equal(t, "The action exceeded its time limits of 2000 milliseconds during initialization.", errorText(t, r))
	f.init(f.single, echoGuest())
}

func TestCodeInAnyWrapping(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	binary := addGuest(t)
	for name, code := range map[string][]byte{
		"module":           binary,
		"zip":              zipped(t, "action.wasm", string(binary)),
		"zip of one entry": zipped(t, "content", string(binary)),
		"with a manifest":  zipped(t, "manifest.json", `{"abi":"reactor"}`, "add.wasm", string(binary)),
	} {
		t.Run(name, func(t *testing.T) {
			url := f.multiplexed + "/" + strings.ReplaceAll(name, " ", "-")
			f.init(url, code)
			f.wantRun(url, `{"param1":20,"param2":22}`, 200, `{"result":42}`)
		})
	}
	t.Run("annotation against the exports", func(t *testing.T) {
		r := f.post(f.multiplexed+"/x/init", initBody(binary, `"annotations":{"abi":"command"}`))
		assert.Equal(t, 502, r.status)
		assert.Contains(t, errorText(t, r), "the command contract needs the exports _start")
	})
}

// TestOutcomes follows every way in which an activation can end with another
// one that must end well.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Limits.MemoryBytes = 8 << 20 })
	f.init(f.multiplexed+"/next", addGuest(t))
	const abnormal = whisk.TextAbnormalRun
	for _, c := range []struct {
		name   string
		guest  []byte
		value  string
		status int
		body   string // exact, or its beginning if it ends in …
	}{
		{"object", echoGuest(), `{"a":"❄ ☃ ❄"}`, 200, `{"a":"❄ ☃ ❄"}`},
		{"array", echoGuest(), `[1,"a"]`, 200, `[1,"a"]`},
		{"its own error", answerGuest(`{"error":"no"}`), `{}`, 200, `{"error":"no"}`},
		{"a text", answerGuest(`"text"`), `{}`, 502, `{"error":"The action did not return a dictionary or array."}`},
		{"a number", answerGuest(`42`), `{}`, 502, `{"error":"The action did not return a dictionary or array."}`},
		{"nothing", answerGuest(``), `{}`, 502, `{"error":"The action did not return a dictionary or array."}`},
		{"half an object", answerGuest(`{"a":`), `{}`, 502, `{"error":"The action did not return a dictionary or array."}`},
		{"trap", reactorWAT(1, "", `unreachable`), `{}`, 502, `{"error":"` + abnormal + ` (trap: unreachable)"}`},
		{"division by zero", reactorWAT(1, "", `(drop (i32.div_s (local.get $ptr) (i32.const 0))) (i64.const 0)`), `{}`, 502, `{"error":"` + abnormal + ` (trap: integer divide by zero)"}`},
		{"out of bounds", reactorWAT(1, "", `(i64.load (i32.const -8))`), `{}`, 502, `{"error":"` + abnormal + ` (trap: out of bounds memory access)"}`},
		{"exit 3", exitGuest(3), `{}`, 502, `{"error":"` + abnormal + ` (exit code 3)"}`},
		{"exit 255", exitGuest(255), `{}`, 502, `{"error":"` + abnormal + ` (exit code 255)"}`},
		{"exit 0 without result", exitGuest(0), `{}`, 502, `{"error":"` + abnormal + `…`},
		{"memory within its limit", growGuest(100), `{"a":1}`, 200, `{"a":1}`},
		{"memory past its limit", growGuest(200), `{}`, 502, `{"error":"` + abnormal + ` (trap: unreachable)"}`},
		{"result past its limit", reactorWAT(40, "", fmt.Sprint(`(i64.const `, 1<<20+1, `)`)), `{}`, 502, `{"error":"The action produced a response that exceeded the allowed length: 1048577 > 1048576 bytes."}`},
		{"result outside of memory", reactorWAT(1, "", `(i64.const 0xfffffff000000064)`), `{}`, 502, `{"error":"` + abnormal + ` (reactor contract: result: 100 bytes at 0xfffffff0 are outside the memory of 65536 bytes)"}`},
		{"room outside of memory", reactorWAT(0, "", `(i64.const 0)`), `{}`, 502, `{"error":"` + abnormal + `…`},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := f.multiplexed + "/" + strings.ReplaceAll(c.name, " ", "-")
			f.init(url, c.guest)
			for range 2 {
				r := f.run(url, c.value)
				assert.Equal(t, c.status, r.status, r.body)
				if beginning, ok := strings.CutSuffix(c.body, "…"); ok {
					assert.True(t, strings.HasPrefix(r.body, beginning), "body %s", r.body)
				} else {
					assert.Equal(t, c.body, r.body)
				}
			}
			f.wantRun(f.multiplexed+"/next", `{"param1":1,"param2":1}`, 200, `{"result":2}`)
			logs := f.get(url + "/logs").body
			assert.Equal(t, 4, sentinels(logs), "two activations, two streams: %.300s", logs)
		})
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	spin, add := f.multiplexed+"/spin", f.multiplexed+"/add"
	f.init(spin, spinGuest())
	f.init(add, addGuest(t))
	began := time.Now()
	r := f.run(spin, `{}`, fmt.Sprintf(`"deadline":"%d"`, time.Now().Add(300*time.Millisecond).UnixMilli()))
	assert.Equal(t, 502, r.status)
	assert.Regexp(t, `^The action exceeded its time limits of \d{1,3} milliseconds\.$`, errorText(t, r))
	assert.Less(t, time.Since(began), 20*time.Second, "the guest was stopped")
	f.wantRun(add, `{"param1":1,"param2":1}`, 200, `{"result":2}`)

	r = f.run(add, `{"param1":1,"param2":1}`, `"deadline":"1000"`)
	assert.Equal(t, 502, r.status)
	assert.Equal(t, "The action exceeded its time limits of 0 milliseconds.", errorText(t, r))
	f.wantRun(add, `{"param1":1,"param2":1}`, 200, `{"result":2}`)
}

func TestDefaultTimeout(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Limits.Timeout = 200 * time.Millisecond })
	f.init(f.single, spinGuest())
	f.wantRun(f.single, `{}`, 502, `{"error":"The action exceeded its time limits of 200 milliseconds."}`)
	assert.Equal(t, 1, sentinels(f.stdout.String()))
	assert.Equal(t, 1, sentinels(f.stderr.String()))
}

func TestLongPayload(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, echoGuest())
	value := `{"arg":"` + strings.Repeat("a", 1048561-10) + `"}`
	f.wantRun(f.single, value, 200, value)
}

func TestLogsOfTheSingleContainer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, logGuest())
	assert.Empty(t, f.stdout.String()+f.stderr.String(), "logs of an init that went well")
	for range 4 {
		f.wantRun(f.single, `{"a":1}`, 200, `{"a":1}`)
	}
	assert.Equal(t, strings.Repeat("hello stdout\n"+whisk.Sentinel+"\n", 4), f.stdout.String())
	assert.Equal(t, strings.Repeat("hello stderr\n"+whisk.Sentinel+"\n", 4), f.stderr.String())
}

func TestLogsOfAContainer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFixture(t, func(c *Config) { c.JSONLogDir = dir })
	url := f.multiplexed + "/abc"
	f.init(url, logGuest())
	assert.Empty(t, f.get(url+"/logs").body)
	f.wantRun(url, `{}`, 200, `{}`)

	stamp := `(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z `
	r := f.get(url + "/logs")
	assert.Equal(t, "text/plain; charset=UTF-8", r.header.Get("Content-Type"))
	for _, want := range []string{"stdout: hello stdout$", "stderr: hello stderr$", "stdout: " + whisk.Sentinel + "$", "stderr: " + whisk.Sentinel + "$"} {
		assert.Regexp(t, stamp+want, r.body)
	}
	assert.Empty(t, f.stdout.String()+f.stderr.String(), "logs of another container")

	path := filepath.Join(dir, "abc", "abc-json.log")
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	req, err := http.NewRequest(http.MethodGet, url+"/logs", nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/x-ndjson")
	res, err := f.client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var lines []jsonLine
	for dec := json.NewDecoder(res.Body); dec.More(); {
		var l jsonLine
		require.NoError(t, dec.Decode(&l))
		lines = append(lines, l)
	}
	require.Len(t, lines, 4)
	assert.Equal(t, "hello stdout\n", lines[0].Log)
	assert.Equal(t, 4, strings.Count(string(written), "\n"))
	assert.Contains(t, string(written), `{"log":"hello stderr\n","stream":"stderr","time":"`)

	f.post(url+"/destroy", "abc")
	assert.NoFileExists(t, path)
}

func TestLogFlood(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Limits.LogBytes = 1 << 20; c.Limits.ContainerLogBytes = 256 << 10 })
	f.init(f.single, floodGuest(1000))
	f.wantRun(f.single, `{}`, 200, `{}`)
	assert.LessOrEqual(t, len(f.stdout.String()), 1<<20+len(whisk.Sentinel)+1)
	assert.Contains(t, f.stderr.String(), whisk.TextLogsTruncated(1<<20)+"\n"+whisk.Sentinel+"\n")

	url := f.multiplexed + "/flood"
	f.init(url, floodGuest(1000))
	for range 3 {
		f.wantRun(url, `{}`, 200, `{}`)
	}
	logs := f.get(url + "/logs").body
	assert.Less(t, len(logs), 512<<10, "what is kept of a container's logs")
	assert.Contains(t, logs, whisk.Sentinel)
}

func TestFreshSandboxes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.init(f.single, countGuest())
	for range 3 {
		f.wantRun(f.single, `{}`, 200, `{"n":1}`)
	}
}

// TestConcurrentRuns sends a hundred distinct inputs at once; each must get its
// own answer.
func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	url := f.multiplexed + "/add"
	f.init(url, addGuest(t))
	var clients sync.WaitGroup
	for i := range 100 {
		clients.Go(func() {
			for j := range 5 {
				r, err := f.try(http.MethodPost, url+"/run", strings.NewReader(runBody(fmt.Sprintf(`{"param1":%d,"param2":%d}`, 1000*i, j))))
				if assert.NoError(t, err) {
					assert.Equal(t, fmt.Sprintf(`{"result":%d}`, 1000*i+j), r.body)
				}
			}
		})
	}
	clients.Wait()
}

func TestWowEnvelope(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.WowEnvelope = true })
	url := f.multiplexed + "/a"
	f.init(url, echoGuest())
	f.wantRun(url, `{"a":1}`, 200, `{"status":"success","status_code":0,"success":true,"result":{"a":1}}`)
	f.wantRun(url, `{"error":"no"}`, 200, `{"status":"application error","status_code":1,"success":false,"result":{"error":"no"}}`)
}

func TestSingleEntryPoint(t *testing.T) {
	t.Parallel()
	both := func(binary []byte) string {
		return `{"init":` + initValue(binary) + `,"activation":{"namespace":"","action_name":"hello","deadline":1000000},"value":{"a":1}}`
	}
	for _, c := range []struct {
		name  string
		posts []string
		want  []reply
	}{
		{"init, then activation", []string{`{"init":` + initValue(echoGuest()) + `}`, `{"activation":{"deadline":1000000},"value":{"a":1}}`}, []reply{{status: 200, body: `{"ok":true}`}, {status: 200, body: `{"a":1}`}}},
		{"both at once", []string{both(echoGuest()), `{"value":[2]}`}, []reply{{status: 200, body: `{"a":1}`}, {status: 200, body: `[2]`}}},
		{"activation alone", []string{`{"value":{}}`, `{"activation":{}}`}, []reply{{status: 500, body: `{"error":"no action defined yet"}`}, {status: 500, body: `{"error":"no action defined yet"}`}}},
		{"activation without value", []string{`{"init":` + initValue(echoGuest()) + `,"activation":{}}`}, []reply{{status: 200, body: `{}`}}},
		{"init twice", []string{both(echoGuest()), both(echoGuest())}, []reply{{status: 200, body: `{"a":1}`}, {status: 403, body: `{"error":"` + whisk.TextReinit + `"}`}}},
		{"a failing init is not run", []string{both([]byte("text"))}, []reply{{status: 502}}},
		{"nothing", []string{`{}`, `text`}, []reply{{status: 400, body: `{"error":"The request has none of init, activation and value."}`}, {status: 400}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for i, body := range c.posts {
				r := f.post(f.single+"/", body)
				assert.Equal(t, c.want[i].status, r.status, r.body)
				if c.want[i].body != "" {
					assert.Equal(t, c.want[i].body, r.body)
				}
			}
		})
	}
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, url := range []string{f.multiplexed, f.single} {
		assert.Equal(t, `{"status":"ok"}`, f.get(url+"/health").body)
		assert.Equal(t, `{"status":"ready"}`, f.get(url+"/ready").body)
	}
	f.init(f.multiplexed+"/health", echoGuest())
	f.wantRun(f.multiplexed+"/health", `{}`, 200, `{}`)
	f.init(f.multiplexed+"/start", echoGuest())
	f.wantRun(f.multiplexed+"/start", `[]`, 200, `[]`)
}
