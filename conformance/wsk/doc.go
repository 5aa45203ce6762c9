// Package wsk drives a standalone executor with wsk, the command line client of
// OpenWhisk, as a test: neither the client nor what it expects is ours. The
// variable WSK names the binary; without it there is nothing to test.
package wsk
