package executor

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlainHeads(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]string{
		"shortest":       "Host: x\r\nContent-Length: 2",
		"no white space": "Host:x\r\nContent-Length:2",
		"much of it":     "Host:   x  \r\nContent-Length:  2 ",
		"other letters":  "HOST: x\r\ncontent-length: 2\r\nCONNECTION: Keep-Alive",
		"leading zero":   "Host: x\r\nContent-Length: 02",
		"addresses":      "Host: [::1]:8080\r\nContent-Length: 2",
		"a Go client":    "Host: 127.0.0.1:9000\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 2\r\nContent-Type: application/json\r\nAccept-Encoding: gzip",
		"an invoker":     "Host: 172.17.0.2:8080\r\nContent-Type: application/json; charset=UTF-8\r\nAccept: application/json\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\nUser-Agent: Apache-HttpClient/4.5.5 (Java/11)",
		"a browser":      "Host: localhost\r\nConnection: keep-alive\r\nContent-Length: 2\r\nsec-ch-ua: \"Chromium\";v=\"1\"\r\nCookie: a=b; c=d\r\nX-Empty:",
		"long name":      "Host: x\r\nContent-Length: 2\r\n" + strings.Repeat("X-", 100) + ": y",
	} {
		text := "POST /a/run HTTP/1.1\r\n" + fields + "\r\n\r\n"
		h, ok := readHead([]byte(text + "{}POST"))
		require.True(t, ok, "readHead of %s", name)
		assert.Equal(t, head{path: "/a/run", size: len(text), length: 2, hosts: 1, lengths: 1}, h, "readHead of %s", name)
	}
}

func TestOtherHeads(t *testing.T) {
	t.Parallel()
	const start, end = "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n", "\r\n"
	for name, text := range map[string]string{
		"nothing":                 "",
		"the beginning of one":    start,
		"no fields":               "POST /a/run HTTP/1.1\r\n\r\n",
		"another method":          strings.Replace(start, "POST", "PUT", 1) + end,
		"a method in small":       strings.Replace(start, "POST", "post", 1) + end,
		"no version":              strings.Replace(start, " HTTP/1.1", "", 1) + end,
		"a space in the path":     strings.Replace(start, "/a/", "/ /", 1) + end,
		"a query":                 strings.Replace(start, "/run", "/run?a", 1) + end,
		"an escape in the path":   strings.Replace(start, "/a/", "/%61/", 1) + end,
		"a whole URL":             strings.Replace(start, "/a/", "http://x/a/", 1) + end,
		"HTTP/1.0":                strings.Replace(start, "1.1", "1.0", 1) + end,
		"HTTP/2":                  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"TLS":                     "\x16\x03\x01\x02\x00\x01\r\n\r\n",
		"a line end before":       "\r\n" + start + end,
		"bare line feeds":         strings.ReplaceAll(start, "\r\n", "\n") + "\n\r\n\r\n",
		"one bare line feed":      start + "X: y\nZ: z\r\n" + end,
		"a bare carriage return":  start + "X: y\rZ: z\r\n" + end,
		"a folded line":           start + "X: y\r\n z\r\n" + end,
		"a tab":                   start + "X:\ty\r\n" + end,
		"beyond ASCII":            start + "X: é\r\n" + end,
		"a zero byte":             start + "X: \x00\r\n" + end,
		"no colon":                start + "X\r\n" + end,
		"no name":                 start + ": y\r\n" + end,
		"white space behind name": start + "X : y\r\n" + end,
		"white space before name": start + " X: y\r\n" + end,
		"strange name":            start + "X!: y\r\n" + end,
		"two hosts":               start + "Host: x\r\n" + end,
		"no host":                 "POST /a/run HTTP/1.1\r\nContent-Length: 2\r\n" + end,
		"an empty host":           "POST /a/run HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n" + end,
		"a strange host":          "POST /a/run HTTP/1.1\r\nHost: x/y\r\nContent-Length: 2\r\n" + end,
		"no length":               "POST /a/run HTTP/1.1\r\nHost: x\r\n" + end,
		"two lengths":             start + "Content-Length: 2\r\n" + end,
		"differing lengths":       start + "content-length: 3\r\n" + end,
		"an empty length":         "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n" + end,
		"a negative length":       "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n" + end,
		"a signed length":         "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n" + end,
		"a list of lengths":       "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n" + end,
		"a hexadecimal length":    "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n" + end,
		"an endless length":       "POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551618\r\n" + end,
		"chunks":                  start + "Transfer-Encoding: chunked\r\n" + end,
		"chunks in small":         start + "transfer-encoding: identity\r\n" + end,
		"an expectation":          start + "Expect: 100-continue\r\n" + end,
		"an upgrade":              start + "Upgrade: h2c\r\n" + end,
		"trailers":                start + "Trailer: X\r\n" + end,
		"accepted trailers":       start + "TE: trailers\r\n" + end,
		"to be closed":            start + "Connection: close\r\n" + end,
		"both":                    start + "Connection: keep-alive, close\r\n" + end,
		"an empty connection":     start + "Connection:\r\n" + end,
	} {
		_, ok := readHead([]byte(text))
		assert.False(t, ok, "readHead of %s", name)
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("POST /a/run HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if h, ok := readHead(text); ok {
			require.True(t, strings.HasSuffix(string(text[:h.size]), "\r\n\r\n"), "size %d", h.size)
			require.True(t, 0 <= h.length && h.length < 100_000, "length %d", h.length)
			require.NotContains(t, h.path, "\n")
		}
	})
}
