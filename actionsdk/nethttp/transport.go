// Package nethttp lets an action use net/http for its outbound requests:
//
//	client := &http.Client{Transport: nethttp.Transport{}}
//
// In a module, package fetch, whose rules apply, needs much less room.
package nethttp

import "net/http"

// Transport is an http.RoundTripper that works in a module and in a native
// program. The zero value is ready; it is safe for concurrent use.
//
// In a module the host follows redirects, and the response is that of the last.
type Transport struct{}

var _ http.RoundTripper = Transport{}
