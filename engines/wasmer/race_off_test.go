//go:build !race

package wasmer_test

const raceDetector = false
