package host

import (
	"net/netip"
	"slices"
)

// isPublic tells whether an address, unmapped and without zone, is a host on
// the public internet. IPv6 is denied outside the range that is assigned, which
// leaves out loopback, link-local, unique local, multicast, mapped and NAT64
// addresses at once.
func isPublic(addr netip.Addr) bool {
	if addr.Is6() && !global6.Contains(addr) {
		return false
	}
	return addr.IsValid() && !containsAddr(special, addr)
}

func containsAddr(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// global6 is the part of IPv6 that is assigned to the public internet.
var global6 = netip.MustParsePrefix("2000::/3")

// special are the ranges of IANA's special-purpose registries that a guest has
// no business with, and the addresses of clouds' metadata services beside them.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // carrier-grade NAT; metadata at Alibaba
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // metadata at Azure
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local; metadata almost everywhere
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments; metadata at Oracle
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/4"),      // multicast
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, broadcast
	netip.MustParsePrefix("2001::/23"),        // protocol assignments; Teredo
	netip.MustParsePrefix("2001:db8::/32"),    // documentation
	netip.MustParsePrefix("2002::/16"),        // 6to4, which embeds IPv4
	netip.MustParsePrefix("3fff::/20"),        // documentation
}
