//go:build !linux && !darwin

package precompile

// setLimits leaves the limits to the parent's clock: there are none here.
func setLimits(childRequest) error { return nil }
