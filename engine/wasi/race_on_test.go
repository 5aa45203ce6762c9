//go:build race

package wasi_test

const raceDetector = true
