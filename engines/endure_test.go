package engines_test

import (
	"testing"

	"wasmwhisk/engine/enginetest"
	"wasmwhisk/engines/wasmtime"
)

// TestEndurance takes minutes on slow machines, and an hour under the race
// detector.
func TestEndurance(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("a long test")
	}
	engines := map[string]enginetest.Open{"wazero": compiler}
	if wasmtime.Missing == "" {
		engines["wasmtime"] = openWasmtime
	}
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			enginetest.Endure(t, open, enginetest.Endurance{Activations: 100_000, Traps: 10_000})
		})
	}
}
