package cli

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wasmwhisk/internal/guest"
	"wasmwhisk/internal/guest/guesttest"
	"wasmwhisk/internal/wat"
)

// BenchmarkStart is the time from the start of the process to the answer of an
// action that another process has compiled, beside that to the answer of an empty
// server, in turns. Of ours it tells what the /init takes, too.
func BenchmarkStart(b *testing.B) {
	serve, constant := built(b, "wasmwhisk/cmd/executor"), built(b, "./testdata/constant")
	text, err := os.ReadFile("../../../examples/wat/add.wat")
	require.NoError(b, err)
	for _, tc := range []struct {
		name   string
		binary []byte
	}{
		{"wat", wat.Must(string(text))},
		{"go", guesttest.Build(b, "wasmwhisk/examples/add", guest.Reactor)},
	} {
		b.Run(tc.name, func(b *testing.B) {
			state := b.TempDir()
			code := `{"value":{"code":"` + base64.StdEncoding.EncodeToString(precompiled(b, serve, state, tc.binary)) + `"}}`
			first := func() (whole, init time.Duration) {
				address := freeAddress(b)
				return firstAnswer(b, exec.Command(serve, "--api-addr", "off", "--runtime-addr", address, "--state-dir", state, "--log-level", "error"), address, code)
			}
			first()
			var ours, inits, empty []time.Duration
			for b.Loop() {
				whole, init := first()
				ours, inits = append(ours, whole), append(inits, init)
				address := freeAddress(b)
				whole, _ = firstAnswer(b, exec.Command(constant, address), address)
				empty = append(empty, whole)
			}
			slices.Sort(ours)
			slices.Sort(inits)
			slices.Sort(empty)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(milliseconds(inits[len(inits)/2]), "init-ms")
			b.ReportMetric(milliseconds(ours[len(ours)/2]), "p50-ms")
			b.ReportMetric(milliseconds(empty[len(empty)/2]), "empty-p50-ms")
			b.ReportMetric(milliseconds(ours[len(ours)/2]-empty[len(empty)/2]), "beyond-ms")
		})
	}
}

func built(b *testing.B, pkg string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "server")
	out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput()
	require.NoError(b, err, "%s", out)
	return path
}

// precompiled leaves the artefact of a binary in the state directory, and gives
// the zip that is uploaded.
func precompiled(b *testing.B, executor, state string, binary []byte) []byte {
	b.Helper()
	module, zip := filepath.Join(b.TempDir(), "action.wasm"), filepath.Join(b.TempDir(), "action.zip")
	require.NoError(b, os.WriteFile(module, binary, 0o600))
	out, err := exec.Command(executor, "precompile", "--state-dir", state, "-o", zip, module).CombinedOutput()
	require.NoError(b, err, "%s", out)
	packed, err := os.ReadFile(zip)
	require.NoError(b, err)
	return packed
}

func freeAddress(b *testing.B) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	return l.Addr().String()
}

// firstAnswer starts a server, gives it code if there is some, and waits for the
// answer of a /run.
func firstAnswer(b *testing.B, server *exec.Cmd, address string, code ...string) (whole, init time.Duration) {
	b.Helper()
	began := time.Now()
	require.NoError(b, server.Start())
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	for conn, err := net.Dial("tcp", address); ; conn, err = net.Dial("tcp", address) {
		if err == nil {
			_ = conn.Close()
			break
		}
		require.Less(b, time.Since(began), 10*time.Second, "server: %v", err)
	}
	ready := time.Now()
	for _, body := range code {
		post(b, "http://"+address+"/a/init", body, `{"ok":true}`)
	}
	init = time.Since(ready)
	post(b, "http://"+address+"/a/run", `{"value":{"param1":3,"param2":4}}`, `{"result":7}`)
	return time.Since(began), init
}

func post(b *testing.B, url, body, want string) {
	b.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(b, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(b, err)
	require.Equal(b, want, string(got), fmt.Sprintf("POST %s", url))
}
