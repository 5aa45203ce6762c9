package executor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/whisk"
)

func line(stream sandbox.Stream, text string) sandbox.Line {
	return sandbox.Line{Time: time.UnixMilli(1690000000123), Stream: stream, Text: text}
}

func TestLogsEndWithSentinels(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	logs := &containerLogs{limit: 10, sink: streams{&out, &err}}
	logs.end(sandbox.Logs{Lines: []sandbox.Line{line(sandbox.Stdout, "hello"), line(sandbox.Stderr, "oops")}, Truncated: true})
	logs.say("by the way")
	assert.Equal(t, "hello\n"+whisk.Sentinel+"\n", out.String())
	assert.Equal(t, "oops\n"+whisk.TextLogsTruncated(10)+"\n"+whisk.Sentinel+"\nby the way\n", err.String())
}

func TestLogsOfActivationsNeverMix(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	logs := &containerLogs{sink: streams{&out, &err}}
	var writers sync.WaitGroup
	for w := range 20 {
		writers.Go(func() {
			lines := make([]sandbox.Line, 50)
			for i := range lines {
				lines[i] = line(sandbox.Stdout, fmt.Sprint(w))
			}
			logs.end(sandbox.Logs{Lines: lines})
		})
	}
	writers.Wait()
	for activation := range strings.SplitSeq(strings.TrimSuffix(out.String(), whisk.Sentinel+"\n"), whisk.Sentinel+"\n") {
		lines := strings.Fields(activation)
		require.Len(t, lines, 50)
		assert.Equal(t, strings.Repeat(lines[0]+"\n", 50), activation)
	}
}

type failingSink struct{}

func (failingSink) write([]sandbox.Line) error { return errors.New("disk full") }

func TestLogsReportWhatIsLost(t *testing.T) {
	t.Parallel()
	var got error
	kept := &ring{limit: 1 << 20}
	logs := &containerLogs{sink: both{failingSink{}, kept}, onErr: func(err error) { got = err }}
	logs.end(sandbox.Logs{})
	assert.EqualError(t, got, "write logs: disk full")
	assert.Len(t, kept.snapshot(), 2, "the other sink has the lines")
}

func TestRingForgetsTheOldest(t *testing.T) {
	t.Parallel()
	r := &ring{limit: 3 * (lineBytes + 1)}
	for i := range 5 {
		require.NoError(t, r.write([]sandbox.Line{line(sandbox.Stdout, fmt.Sprint(i))}))
	}
	var texts []string
	for _, l := range r.snapshot() {
		texts = append(texts, l.Text)
	}
	assert.Equal(t, []string{"2", "3", "4"}, texts)
	require.NoError(t, r.write([]sandbox.Line{line(sandbox.Stdout, strings.Repeat("x", 1000))}))
	assert.Empty(t, r.snapshot(), "a line longer than the ring")
	assert.Zero(t, r.bytes)
}

// A container keeps no more memory than that of the lines it keeps.
func TestRingOfManyLinesAtOnce(t *testing.T) {
	t.Parallel()
	r := &ring{limit: 100 * (lineBytes + 1)}
	require.NoError(t, r.write([]sandbox.Line{line(sandbox.Stdout, "")}))
	many := slices.Repeat([]sandbox.Line{line(sandbox.Stdout, "x")}, 100_000)
	many[len(many)-100].Text = strings.Repeat("long", 10)
	require.NoError(t, r.write(many))
	assert.Len(t, r.snapshot(), 99, "none from before the long line, for which there is no room")
	assert.Less(t, cap(r.lines), 1000)
}

func TestJSONFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	f := newJSONFile(root, "abc", 150)
	require.NoError(t, f.write([]sandbox.Line{line(sandbox.Stdout, `<a> "❄"`)}))
	path := filepath.Join(root, "abc", "abc-json.log")
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, `{"log":"<a> \"❄\"\n","stream":"stdout","time":"2023-07-22T04:26:40.123Z"}`+"\n", string(got))

	require.NoError(t, f.write([]sandbox.Line{line(sandbox.Stderr, strings.Repeat("y", 100))}))
	older, err := os.ReadFile(path + ".1")
	require.NoError(t, err, "the full file makes room")
	assert.Equal(t, got, older)
	var newer jsonLine
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &newer))
	assert.Equal(t, "stderr", newer.Stream)

	require.NoError(t, f.remove())
	assert.NoDirExists(t, filepath.Join(root, "abc"))
	assert.NoError(t, f.remove(), "again")
}
