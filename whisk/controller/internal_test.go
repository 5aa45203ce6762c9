package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/whisk"
)

func TestOnLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.8.9.1:80": true, "[::1]:80": true,
		"10.0.0.1:80": false, "[::ffff:8.8.8.8]:80": false, "[::ffff:127.0.0.1]:80": true, "@": false, "": false,
	} {
		assert.Equal(t, want, onLoopback(&http.Request{RemoteAddr: address}), "onLoopback(%q)", address)
	}
}

// TestRefusalsOfTooMuchTakeAMoment: unless the client has left.
func TestRefusalsOfTooMuchTakeAMoment(t *testing.T) {
	t.Parallel()
	left, leave := context.WithCancel(context.Background())
	leave()
	for _, c := range []struct {
		name string
		ctx  context.Context
		kind whisk.ErrorKind
		want time.Duration
	}{
		{"too much", context.Background(), whisk.TooManyRequests, refusalTakes},
		{"too much, of one who left", left, whisk.TooManyRequests, 0},
		{"something else", context.Background(), whisk.BadRequest, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answer := httptest.NewRecorder()
				request := httptest.NewRequestWithContext(c.ctx, http.MethodPost, "/", nil)
				began := time.Now()
				(&Controller{}).fail(whisk.Errorf(c.kind, "No."), echo.New().NewContext(request, answer))
				assert.Equal(t, c.want, time.Since(began), "time until the answer")
				assert.Equal(t, c.kind.HTTPStatus(), answer.Code)
			})
		})
	}
}

func TestBoundsOfSubjects(t *testing.T) {
	t.Parallel()
	memory, timeout := 64, 5000
	b := boundsOf(whisk.DefaultBounds(), whisk.UserLimits{MaxActionMemory: &memory, MaxActionTimeout: &timeout})
	assert.Equal(t, 64, b.Max.MemoryMB)
	assert.Equal(t, int64(5000), b.Max.Timeout.Milliseconds())
	assert.Equal(t, whisk.DefaultBounds().Min, b.Min)
}

// FuzzArguments holds arguments to what it is for: JSON of all parameters and
// members, of which the payload's win.
func FuzzArguments(f *testing.F) {
	for _, payload := range []string{``, `{}`, ` {"a":2} `, `{"b":{"a":1}}`, `[1]`, `null`, `{"a"`, "\t\n", `{"a":1,"a":2}`, `{}x`, `[`} {
		f.Add("a", []byte(`1`), []byte(payload))
	}
	f.Fuzz(func(t *testing.T, key string, value, payload []byte) {
		if !json.Valid(value) {
			return
		}
		bare, refused := arguments(nil, payload)
		got, err := arguments(whisk.Parameters{{Key: key, Value: value}, {Key: "other", Value: json.RawMessage("true")}}, payload)
		require.Equal(t, err, refused, "errors with and without parameters")
		if err != nil {
			return
		}
		require.True(t, json.Valid(bare), "arguments(%q) without parameters: %s", payload, bare)
		if isArray(got) {
			require.True(t, json.Valid(got), "arguments(%q): %s", payload, got)
			return
		}
		var all, own map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(got, &all), "arguments(%q): %s", payload, got)
		_ = json.Unmarshal(payload, &own)
		for k, v := range own {
			assert.Equal(t, string(v), string(all[k]), "arguments(%q): member %q", payload, k)
		}
		assert.Contains(t, all, "other")
	})
}

func FuzzStepName(f *testing.F) {
	for _, text := range []string{"a", "p/a", "/ns/a", "ns/p/a", "/ns/p/a", "/_/a", "", "/", "a/b/c/d", "//"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := stepName(text, "guest")
		if err != nil {
			return
		}
		again, err := whisk.ParseFullyQualifiedName(name.String())
		require.NoError(t, err, "stepName(%q) = %s", text, name)
		assert.Equal(t, name, again, "stepName(%q)", text)
		assert.NotEqual(t, whisk.Self, name.Path.Namespace(), "stepName(%q)", text)
	})
}

// full is a listener of a process that may open no more files.
type full struct{ net.Listener }

func (full) Accept() (net.Conn, error) { return nil, syscall.EMFILE }

// TestConnectionsThatAreNotAcceptedAreTold: now and then, since net/http tries again
// every second.
func TestConnectionsThatAreNotAcceptedAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := limitConnections(full{}, 1, slog.New(slog.NewTextHandler(&log, nil)))
		for range 90 {
			_, err := l.Accept()
			require.ErrorIs(t, err, syscall.EMFILE)
			time.Sleep(time.Second)
		}
		assert.Equal(t, 2, strings.Count(log.String(), `level=WARN msg="connections are not accepted" error="too many open files"`), log.String())
	})
}
