package storetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

// victimDir is the environment variable that makes a test binary the process
// that is killed: it names the store's directory.
const victimDir = "STORETEST_VICTIM"

// killRounds is how often a store is killed, and killShort in short mode.
const (
	killRounds = 12
	killShort  = 3
)

// testKilled has a process write to a store, kills it at some moment, and looks
// for all that it said to have written.
func testKilled(t *testing.T, h Harness) {
	rounds := killRounds
	if testing.Short() {
		rounds = killShort
	}
	dir := t.TempDir()
	written := map[string]bool{}
	for round := range rounds {
		for _, line := range killed(t, dir, 50+rand.IntN(400)) {
			written[line] = true
		}
		s, err := h.Open(dir)
		require.NoError(t, err, "Open after kill %d", round)
		for line := range written {
			wantWritten(t, s, line)
		}
		require.NoError(t, s.Close())
		require.NoError(t, h.Check(dir), "Check after kill %d", round)
	}
}

// killed runs a process until it has written so many lines, and gives those that
// it finished.
func killed(t *testing.T, dir string, lines int) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var all []string
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			break // the end; half a line says nothing
		}
		all = append(all, strings.TrimSuffix(line, "\n"))
		if len(all) == lines {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait()
	require.GreaterOrEqual(t, len(all), lines, "lines of the process before it was killed")
	return all
}

// wantWritten checks one line: what was written, and its name.
func wantWritten(t *testing.T, s store.Store, line string) {
	t.Helper()
	what, name, _ := strings.Cut(line, " ")
	switch what {
	case "record":
		_, err := s.Activation(t.Context(), "guest", whisk.ActivationID(name))
		assert.NoError(t, err, line)
	case "action":
		a, _, err := store.Get[*whisk.Action](t.Context(), s, named("guest", name))
		if assert.NoError(t, err, line) {
			code, err := s.ReadCode(t.Context(), a.Exec.Digest)
			assert.NoError(t, err, line)
			assert.Equal(t, name, string(code), line)
		}
	case "promise":
		_, err := s.Activation(t.Context(), "guest", whisk.ActivationID(name))
		for _, p := range pending(t, s) {
			if string(p.ID) == name {
				return
			}
		}
		assert.NoError(t, err, "%s: neither pending nor recorded", line)
	default:
		t.Errorf("the process wrote %q", line)
	}
}

// victim writes until it is killed, and says each thing once it is written.
func victim(h Harness, dir string) int {
	s, err := h.Open(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		return 1
	}
	var mu sync.Mutex
	say := func(what, name string) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(os.Stdout, what+" "+name+"\n")
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for err == nil {
				err := writeOne(s, i, say)
				if err != nil {
					fmt.Fprintln(os.Stderr, "victim:", err)
					return
				}
			}
		})
	}
	wg.Wait()
	return 1
}

// writeOne writes what the i-th of several writers does.
func writeOne(s store.Store, i int, say func(what, name string)) error {
	ctx := context.Background()
	r := record("guest", "a", 1)
	switch i {
	case 0:
		_, err := s.Put(ctx, action("guest", string(r.ID), 1, string(r.ID)), 0)
		if err == nil {
			say("action", string(r.ID))
		}
		return err
	case 1:
		p := promise(`{}`)
		p.ID = r.ID
		if err := s.Accept(ctx, p); err != nil {
			return err
		}
		say("promise", string(p.ID))
		if rand.IntN(50) == 0 {
			return nil // stays pending
		}
		return s.Append(ctx, r)
	}
	err := s.Append(ctx, r)
	if err == nil {
		say("record", string(r.ID))
	}
	return err
}
