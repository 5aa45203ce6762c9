package chaos

import (
	"database/sql"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"wasmwhisk/internal/wat"
)

const clients = 8

// rounds is how often the server is killed; CHAOS_ROUNDS says otherwise.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CHAOS_ROUNDS")
	if text == "" {
		return 30
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kills a server for half a minute")
	}
	executor, state := program(t), filepath.Join(t.TempDir(), "state")
	code := base64.StdEncoding.EncodeToString(echo())
	all := make([]*client, clients)
	for i := range all {
		all[i] = newClient(i, code)
	}
	s := start(t, executor, state)
	prepare(t, all[0], s.url)
	checked := 0
	for round := range rounds(t) {
		for _, c := range all {
			c.url = s.url
		}
		life := time.Duration(20+rand.IntN(400)) * time.Millisecond
		require.NoError(t, loadUntil(life, s, all), "round %d, killed after %v: %s", round, life, s.said())
		for _, c := range all {
			checked += len(c.recorded) + len(c.accepted) + len(c.triggered)
		}
		s = start(t, executor, state)
		require.NoError(t, checkAll(s.url, all), "round %d, killed after %v: %s", round, life, s.said())
	}
	t.Logf("%d kills, %d activations accounted for", rounds(t), checked)
	intact(t, executor, state)
	s.kill()
}

// prepare makes what all clients use.
func prepare(t *testing.T, c *client, url string) {
	t.Helper()
	c.url = url
	for path, body := range map[string]string{
		"actions/echo":   `{"exec":{"kind":"wasm:0.1","code":"` + c.code + `"}}`,
		"triggers/event": `{}`,
	} {
		require.Equal(t, 200, c.do("PUT", path, body).status, path)
	}
	require.Equal(t, 200, c.do("PUT", "rules/react", `{"trigger":"/_/event","action":"/_/echo"}`).status)
}

// loadUntil kills the server after some time of load.
func loadUntil(life time.Duration, s *server, all []*client) error {
	ended := make(chan error, 1)
	go func() { ended <- each(all, (*client).work) }()
	time.Sleep(life)
	s.kill()
	return <-ended
}

func checkAll(url string, all []*client) error {
	for _, c := range all {
		c.url = url
	}
	return each(all, (*client).check)
}

// each has all clients do something at once.
func each(all []*client, do func(*client) error) error {
	var group sync.WaitGroup
	errs := make([]error, len(all))
	for i, c := range all {
		group.Go(func() { errs[i] = do(c) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// intact has the store copied while it is served, and the copy looked through.
func intact(t *testing.T, executor, state string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "backup.db")
	said, err := exec.CommandContext(t.Context(), executor, "backup", file, "--state-dir", state).CombinedOutput()
	require.NoError(t, err, "%s", said)
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	defer db.Close()
	var verdict string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&verdict))
	require.Equal(t, "ok", verdict)
}

// echo is a guest that gives its input back.
func echo() []byte {
	return wat.Must(`(module
		(memory (export "memory") 1)
		(func (export "ow_alloc") (param i32) (result i32) (i32.const 8192))
		(func (export "ow_run") (param $ptr i32) (param $len i32) (result i64)
			(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))`)
}
