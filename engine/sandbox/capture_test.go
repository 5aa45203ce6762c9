package sandbox

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/engine/host"
)

// write puts text on the streams: "o:" and "e:" say which.
func write(t *testing.T, c *capture, parts ...string) {
	t.Helper()
	for _, part := range parts {
		w := c.stdout()
		if strings.HasPrefix(part, "e:") {
			w = c.stderr()
		}
		_, err := io.WriteString(w, part[2:])
		require.NoError(t, err)
	}
}

func lines(logs Logs) []string {
	all := []string{}
	for _, l := range logs.Lines {
		all = append(all, l.Stream.String()[3:]+":"+l.Text)
	}
	return all
}

func TestCaptureKeepsTheOrderOfFirstBytes(t *testing.T) {
	t.Parallel()
	c := newCapture(Limits{}.WithDefaults())
	write(t, c, "o:a", "e:1\n2", "o:b\n", "e:3\n", "o:\n", "o:c\n", "e:4", "o:d")
	assert.Equal(t, []string{"out:ab", "err:1", "err:23", "out:", "out:c", "err:4", "out:d"}, lines(c.logs()))
}

func TestCaptureTakesTheLastLineOutOfTheLogs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		parts []string
		want  string
		logs  []string
	}{
		{"ended", []string{"o:log\n{}\n"}, "{}", []string{"out:log"}},
		{"not ended", []string{"o:log\n{}"}, "{}", []string{"out:log"}},
		{"blank lines after it", []string{"o:log\n{}\n\n  \n"}, "{}", []string{"out:log", "out:", "out:  "}},
		{"stderr after it", []string{"o:log\n{}\n", "e:late\n"}, "{}", []string{"out:log", "err:late"}},
		{"nothing", nil, "", []string{}},
		{"only blank", []string{"o:\n"}, "", []string{"out:"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCapture(Limits{}.WithDefaults())
			write(t, c, tc.parts...)
			line, err := c.TakeLastLine()
			require.NoError(t, err)
			assert.Equal(t, tc.want, string(line))
			assert.Equal(t, tc.logs, lines(c.logs()))
		})
	}
}

// An answer is not lost to logs that used their bound up before it.
func TestCaptureKeepsTheAnswerBehindTooManyLogs(t *testing.T) {
	t.Parallel()
	c := newCapture(Limits{LogBytes: 10, ResultBytes: 10}.WithDefaults())
	write(t, c, "o:0123\n5678\nabcd\n{\"a\":1}\n")
	line, err := c.TakeLastLine()
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, string(line))
	logs := c.logs()
	assert.Equal(t, []string{"out:0123", "out:5678"}, lines(logs))
	assert.True(t, logs.Truncated)
}

func TestCaptureBoundsLines(t *testing.T) {
	t.Parallel()
	c := newCapture(Limits{LogBytes: 10, ResultBytes: 20}.WithDefaults())
	for range 1000 {
		write(t, c, "o:0123456789", "e:0123456789")
	}
	assert.LessOrEqual(t, len(c.partial[Stdout].text), 20)
	assert.LessOrEqual(t, len(c.partial[Stderr].text), 20)
	_, err := c.TakeLastLine()
	assert.ErrorContains(t, err, "result of 10000 bytes exceeds the limit of 20 bytes")
	assert.Equal(t, []string{"err:012345678"}, lines(c.logs()))
}

func TestCaptureBoundsTheNumberOfLines(t *testing.T) {
	t.Parallel()
	limits := Limits{}.WithDefaults()
	c := newCapture(limits)
	ends := bytes.Repeat([]byte{'\n'}, 1<<20)
	for range 2 {
		_, err := c.stderr().Write(ends)
		require.NoError(t, err)
	}
	logs := c.logs()
	assert.Len(t, logs.Lines, limits.LogLines())
	assert.True(t, logs.Truncated)
}

func TestCaptureBoundsFD3(t *testing.T) {
	t.Parallel()
	c := newCapture(Limits{ResultBytes: 100}.WithDefaults())
	for range 1000 {
		n, err := c.fd3.Write([]byte("0123456789"))
		require.NoError(t, err)
		require.Equal(t, 10, n)
	}
	assert.LessOrEqual(t, len(c.fd3.data), 200)
	_, err := c.FD3()
	assert.ErrorContains(t, err, "result of 10000 bytes exceeds the limit of 100 bytes")
}

func TestCaptureCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	c := newCapture(Limits{LogBytes: 6}.WithDefaults())
	write(t, c, "e:ab❄❄\n")
	assert.Equal(t, []string{"err:ab❄"}, lines(c.logs()))
}

func TestCaptureLogMessages(t *testing.T) {
	t.Parallel()
	c := newCapture(Limits{}.WithDefaults())
	write(t, c, "e:half")
	c.log(host.LevelWarn, []byte("two\nlines"))
	assert.Equal(t, []string{"err:half", "err:WARN two", "err:lines"}, lines(c.logs()))
}
