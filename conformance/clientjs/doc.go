// Package clientjs drives a standalone executor with the npm client of
// OpenWhisk, as a test: the client is not ours, and neither is what it expects.
package clientjs
