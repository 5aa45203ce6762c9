package host

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPolicyByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		allow, deny string
		url         string
		want        bool
	}{
		{"", "", "http://example.org/", false},
		{"*", "", "http://example.org/", true},
		{"*", "", "https://EXAMPLE.org:8443/x", true},
		{"*", "", "ftp://example.org/", false},
		{"*", "", "file:///etc/passwd", false},
		{"example.org", "", "http://example.org", true},
		{"Example.ORG.", "", "http://example.org", true},
		{"example.org", "", "https://EXAMPLE.ORG.:444", true},
		{"example.org", "", "http://example.org.evil.net", false},
		{"example.org", "", "http://www.example.org", false},
		{"example.org", "", "http://notexample.org", false},
		{"example.org", "", "http://example.org@evil.net/", false},
		{"example.org", "", "http://evil.net/#example.org", false},
		{"*.example.org", "", "http://a.b.example.org", true},
		{"*.example.org", "", "http://example.org", false},
		{"*.example.org", "", "http://notexample.org", false},
		{"example.org:8080", "", "http://example.org:8080", true},
		{"example.org:8080", "", "http://example.org", false},
		{"example.org:80", "", "http://example.org", true},
		{"example.org:443", "", "https://example.org", true},
		{"*:443", "", "https://anything.example", true},
		{"*:443", "", "http://anything.example", false},
		{"*.example.org:81", "", "http://a.example.org:81", true},
		{"other.example example.org", "", "http://example.org", true},
		{"*", "example.org", "http://example.org.", false},
		{"*", "example.org", "http://example.org:81", false},
		{"example.org", "*.org", "http://example.org", false},
		{"*", "*.example.org", "http://example.org", true},
		{"*", "example.org:81", "http://example.org", true},
		{"*", "*", "http://example.org", false},
		{"192.0.2.0/24", "", "http://192.0.2.7", true},
		{"192.0.2.0/24", "", "http://192.0.3.7", false},
		{"*", "192.0.2.0/24", "http://192.0.2.7", false},
		{"*", "192.0.2.7", "http://[::ffff:192.0.2.7]", false},
		{"[2001:db8::1]:80", "", "http://[2001:DB8:0::1]", true},
		{"2001:db8::1", "", "http://[2001:db8::1]:81", true},
		{"2001:db8::1", "", "http://[2001:db8::2]", false},
		{"*", "", "http://[fe80::1%25eth0]/", false},
		{"*", "", "http://exa%C3%A4mple.org/", false},
		{"*", "", "http://ｅxample.org/", false},
		{"*", "", "http://:80/", false},
		{"*", "", "http://a..b/", false},
		{"*", "", "http://under_score.example/", true},
		{"*", "", "http://" + strings.Repeat("a.", 126) + "aaa/", false},
	} {
		r, err := Policy{Allow: strings.Fields(c.allow), Deny: strings.Fields(c.deny)}.compile()
		require.NoError(t, err)
		u, err := url.Parse(c.url)
		require.NoError(t, err)
		err = r.checkURL(u)
		assert.Equal(t, c.want, err == nil, "allow %q deny %q: %s: %v", c.allow, c.deny, c.url, err)
	}
}

func TestPolicyByAddress(t *testing.T) {
	t.Parallel()
	r, err := Policy{
		Deny:         []string{"10.1.2.3", "93.184.216.0/24", "[2606:4700::1]:443"},
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")},
	}.compile()
	require.NoError(t, err)
	for address, want := range map[string]bool{
		"93.184.215.14:443":         true,
		"[2606:4700::1]:80":         true,
		"[2606:4700::1]:443":        false,
		"93.184.216.34:80":          false,
		"10.1.2.4:80":               true,
		"10.1.2.3:80":               false,
		"10.2.0.1:80":               false,
		"[fd12::1]:80":              true,
		"127.0.0.1:80":              false,
		"127.255.255.254:80":        false,
		"0.0.0.0:80":                false,
		"0.1.2.3:80":                false,
		"169.254.169.254:80":        false,
		"168.63.129.16:80":          false,
		"172.16.0.1:80":             false,
		"172.31.255.255:80":         false,
		"172.32.0.1:80":             true,
		"192.168.1.1:80":            false,
		"192.0.0.192:80":            false,
		"100.64.0.1:80":             false,
		"100.100.100.200:80":        false,
		"224.0.0.1:80":              false,
		"239.255.255.255:80":        false,
		"255.255.255.255:80":        false,
		"[::1]:80":                  false,
		"[::]:80":                   false,
		"[::ffff:127.0.0.1]:80":     false,
		"[::ffff:10.1.2.4]:80":      true,
		"[::ffff:93.184.215.14]:80": true,
		"[::127.0.0.1]:80":          false,
		"[64:ff9b::7f00:1]:80":      false,
		"[64:ff9b:1::7f00:1]:80":    false,
		"[2002:7f00:1::]:80":        false,
		"[2001:0:7f00:1::]:80":      false,
		"[fe80::1%eth0]:80":         false,
		"[fec0::1]:80":              false,
		"[fc00::1]:80":              false,
		"[ff02::1]:80":              false,
		"[2001:db8::1]:80":          false,
		"/run/docker.sock":          false,
		"":                          false,
	} {
		assert.Equal(t, want, r.checkAddr(address) == nil, address)
	}
}

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "exam ple", "*example.org", "a.*.org", "*.", "example.org:", "example.org:0", "example.org:65536", "http://example.org", "ex/ample", "é.example", "fe80::1%eth0"} {
		assert.Error(t, Policy{Allow: []string{bad}}.Validate(), "allow %q", bad)
		assert.Error(t, Policy{Deny: []string{"*", bad}}.Validate(), "deny %q", bad)
		_, err := NewClient(Policy{Allow: []string{bad}})
		assert.Error(t, err, "client of %q", bad)
	}
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:127.0.0.1/104")} {
		assert.Error(t, Policy{AllowPrivate: []netip.Prefix{bad}}.Validate(), bad)
	}
	assert.NoError(t, Policy{}.Validate())
}

func TestLoopbackIsDeniedByDefault(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	server := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	g := newGuest(t, Config{HTTP: newTestClient(t, Policy{Allow: []string{"*"}})})
	hosts := []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		l.Close()
		hosts = append(hosts, "[::1]", "[::]")
	}
	for _, host := range hosts {
		g.denied("http://"+host+":"+port+"/", "resolves to an address")
	}
	assert.Zero(t, hits.Load())
}

func TestRebinding(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { hits.Add(1); io.WriteString(w, "in") })
	inside := httptest.NewServer(handler)
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	require.NoError(t, err)
	second, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	other := &http.Server{Handler: handler}
	defer other.Close()
	go other.Serve(second)

	// The name resolves to the address that the operator opened, then to
	// another, then to both.
	addresses := make(chan []string, 3)
	client, err := newClient(loopback(), fakeDNS(func() []string { return <-addresses }))
	require.NoError(t, err)
	defer client.Close()
	g := newGuest(t, Config{HTTP: client})
	target := "http://rebind.example:" + port + "/"

	addresses <- []string{"127.0.0.1"}
	assert.Equal(t, "in", g.get(target))
	require.Equal(t, int32(1), hits.Load())

	client.Close() // else the connection is used again and nothing resolved
	addresses <- []string{"127.0.0.2"}
	g.denied(target, "resolves to an address")
	assert.Equal(t, int32(1), hits.Load(), "requests to an address that was not allowed")

	addresses <- []string{"127.0.0.2", "169.254.169.254", "127.0.0.1"}
	assert.Equal(t, "in", g.get(target), "the allowed one of several addresses")
	assert.Equal(t, int32(2), hits.Load())
}

// fakeDNS resolves every name to the IPv4 addresses that next gives.
func fakeDNS(next func() []string) *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go answerDNS(server, next)
			return client, nil
		},
	}
}

// answerDNS answers the questions on a connection, framed as over TCP.
func answerDNS(conn net.Conn, next func() []string) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply := dnsReply(query, next)
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
}

// dnsReply repeats the question of a query and answers it if it is for an A
// record (RFC 1035, 4.1).
func dnsReply(query []byte, next func() []string) []byte {
	end := 12
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	question := query[12 : end+5]
	var answers []string
	if binary.BigEndian.Uint16(query[end+1:]) == 1 {
		answers = next()
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(len(answers)), 0, 0, 0, 0}, question...)
	for _, a := range answers {
		ip := netip.MustParseAddr(a).As4()
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ip[0], ip[1], ip[2], ip[3])
	}
	return reply
}
