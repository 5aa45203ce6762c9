//go:build !linux

package precompile

const mapWhole = 0
