// Package chaos kills a standalone executor under load, again and again, as a
// test: what was answered must be there after the restart, and every activation
// that was accepted must come to a record.
package chaos
