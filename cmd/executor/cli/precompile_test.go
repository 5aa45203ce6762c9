package cli

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressBar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &progress{w: &out, total: 2 * stepsPerFile}
		p.startBar()
		p.step("reading a.wasm")
		time.Sleep(barDelay / 2)
		p.step("compiling a.wasm")
		time.Sleep(2 * time.Second)
		p.finish(stepsPerFile)
		p.step("reading b.wasm")
		time.Sleep(time.Second)
		p.close()
		p.close()
		require.NotContains(t, out.String(), "reading a.wasm", "a step that is soon done")
		require.Contains(t, out.String(), clearLine+"[###-----------------] compiling a.wasm 1.0 s")
		require.Contains(t, out.String(), clearLine+"[##########----------] reading b.wasm 0.5 s")
		require.True(t, bytes.HasSuffix(out.Bytes(), []byte(clearLine)), "the bar goes away")
		require.NotContains(t, out.String(), "\n")
	})
}

func TestProgressLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out, 2)
	p.step("reading %s", "a.wasm")
	p.step("compiling %s", "a.wasm")
	p.finish(2)
	p.close()
	require.Equal(t, "reading a.wasm\ncompiling a.wasm\n", out.String())
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"build/add.zip": "build/add.zip",
		"my add.zip":    "'my add.zip'",
		"it's":          `'it'\''s'`,
		"$(x)":          "'$(x)'",
		"-o":            "'-o'",
		"":              "''",
	} {
		require.Equal(t, want, quote(in), "quote(%q)", in)
	}
}
