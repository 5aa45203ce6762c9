package host

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Policy says where a guest's requests may go. The zero value allows nothing.
//
// A pattern is "*", a host ("example.org", "93.184.215.14"), the hosts below
// one ("*.example.org", which is not example.org itself), or a range of
// addresses ("192.0.2.0/24"). All but the range may end in a port
// ("example.org:8443", "[2001:db8::1]:443"); without one every port matches.
// Names are compared without regard to case and to a final dot.
type Policy struct {
	// Allow lists what the action may reach.
	Allow []string

	// Deny lists what the operator refuses to every action. It wins over Allow
	// and AllowPrivate, and counts for resolved addresses as well as for names.
	Deny []string

	// AllowPrivate are the operator's exceptions from the addresses denied by
	// default: whatever is not on the public internet. An action's requests
	// reach them only where Allow names the host.
	AllowPrivate []netip.Prefix
}

// Validate reports the first entry that is not well formed.
func (p Policy) Validate() error {
	_, err := p.compile()
	return err
}

// deniedError is a refusal by policy.
type deniedError struct{ reason string }

func (e *deniedError) Error() string { return e.reason }

// rules is a policy made ready for use.
type rules struct {
	allow, deny []pattern
	exceptions  []netip.Prefix
}

func (p Policy) compile() (*rules, error) {
	allow, err := parsePatterns(p.Allow)
	if err != nil {
		return nil, fmt.Errorf("allow: %w", err)
	}
	deny, err := parsePatterns(p.Deny)
	if err != nil {
		return nil, fmt.Errorf("deny: %w", err)
	}
	for _, prefix := range p.AllowPrivate {
		if !prefix.IsValid() || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("private range %s: not an IPv4 or IPv6 prefix", prefix)
		}
	}
	return &rules{allow, deny, slices.Clone(p.AllowPrivate)}, nil
}

// checkURL decides by name, before anything is resolved.
func (r *rules) checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return &deniedError{fmt.Sprintf("scheme %q is not http or https", u.Scheme)}
	}
	host, err := normalHost(u.Hostname())
	if err != nil {
		return &deniedError{err.Error()}
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if !matchAny(r.allow, host, port) || matchAny(r.deny, host, port) {
		return &deniedError{fmt.Sprintf("the policy of this action does not allow host %s", u.Host)}
	}
	return nil
}

// checkAddr decides by the address that a name resolved to, on the way to it.
// The message leaves the address out: names of the operator's network are not
// for guests to map.
func (r *rules) checkAddr(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return &deniedError{"the host resolves to no internet address"}
	}
	addr := ap.Addr().Unmap().WithZone("")
	allowed := isPublic(addr) || containsAddr(r.exceptions, addr)
	if !allowed || matchAny(r.deny, addr.String(), strconv.Itoa(int(ap.Port()))) {
		return &deniedError{"the host resolves to an address that the policy does not allow"}
	}
	return nil
}

// checkRedirect decides on each request that a redirect leads to. It takes out
// the referrer that package http puts in and no guest asked for.
func (r *rules) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirects {
		return fmt.Errorf("more than %d redirects", MaxRedirects)
	}
	if via[0].Header.Get("Referer") == "" {
		req.Header.Del("Referer")
	}
	return r.checkURL(req.URL)
}

// pattern is one entry of a policy. The empty port matches every port.
type pattern struct {
	match func(host string) bool
	port  string
}

func matchAny(patterns []pattern, host, port string) bool {
	return slices.ContainsFunc(patterns, func(p pattern) bool {
		return (p.port == "" || p.port == port) && p.match(host)
	})
}

func parsePatterns(texts []string) ([]pattern, error) {
	patterns := make([]pattern, 0, len(texts))
	for _, text := range texts {
		p, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("host pattern %q: %w", text, err)
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

func parsePattern(text string) (pattern, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		return pattern{match: func(host string) bool {
			addr, err := netip.ParseAddr(host)
			return err == nil && prefix.Contains(addr)
		}}, nil
	}
	host, port, err := splitPort(text)
	if err != nil {
		return pattern{}, err
	}
	match, err := hostMatcher(host)
	return pattern{match, port}, err
}

// hostMatcher matches the host part of a pattern.
func hostMatcher(host string) (func(string) bool, error) {
	if host == "*" {
		return func(string) bool { return true }, nil
	}
	parent, below := strings.CutPrefix(host, "*.")
	name, err := normalHost(parent)
	if err != nil {
		return nil, err
	}
	if below {
		return func(h string) bool { return strings.HasSuffix(h, "."+name) }, nil
	}
	return func(h string) bool { return h == name }, nil
}

// splitPort parts a pattern into host and port. An IPv6 address has a port only
// if it stands in brackets.
func splitPort(text string) (host, port string, err error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, "", nil
	}
	host, port = text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
		}
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return host, port, nil
}

var errHost = errors.New("not a host name in ASCII or an address")

// normalHost is the one spelling of a host that patterns are compared with.
// Names beyond ASCII are refused, not mapped: different mappings of one name
// would let it pass a pattern that names it.
func normalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", errHost
		}
		return addr.Unmap().String(), nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if len(host) > 253 || !isHostName(host) {
		return "", errHost
	}
	return host, nil
}

// isHostName accepts dot-separated labels of letters, digits, hyphens and
// underscores.
func isHostName(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
