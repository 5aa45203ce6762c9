//go:build !wasip1

package nethttp

import "net/http"

// RoundTrip is http.DefaultTransport's.
func (Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return http.DefaultTransport.RoundTrip(req)
}
