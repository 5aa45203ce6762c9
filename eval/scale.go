package eval

import (
	"time"

	"wasmwhisk/eval/target"
)

// scale says how much is measured.
type scale struct {
	rounds int
	window time.Duration // that a closed loop runs for, and a rate is held

	cold       []int // concurrent first activations
	coldSizes  []target.Size
	clients    []int // of a loop that is bound by the processor
	waiters    []int // of one that waits
	mixed      []int // clients
	rare       int   // actions that are seldom asked, each once
	hot        int   // activations of the two that are asked often
	burst      int   // requests of each of 100 clients
	containers []int
	sizes      []target.Size // of the code in them
	iterations int           // of BLAKE3 in one activation
	sieve      int           // upper bound of primes
	rates      int           // that are tried at most
	minutes    int           // of a trace
	minute     time.Duration // what becomes of one of these
	trace      *Trace
}

func full() scale {
	return scale{
		rounds: 5, window: 3 * time.Second,
		cold: []int{1, 2, 4, 6, 8, 10}, coldSizes: []target.Size{target.Large, target.Small},
		clients: []int{1, 2, 4, 6, 8, 10, 12, 14, 16}, waiters: []int{1, 2, 4, 6, 8, 10, 12, 14, 16},
		mixed: []int{2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30},
		rare:  60, hot: 540, burst: 100,
		containers: []int{1, 10, 100, 1000}, sizes: []target.Size{target.Small, target.Medium, target.Large},
		iterations: 20_000, sieve: 1_000_000, rates: 24, minutes: 60, minute: time.Second,
	}
}

// quick is what ends within two minutes on two cores with as many targets as one
// machine has.
func quick() scale {
	return scale{
		rounds: 2, window: 150 * time.Millisecond,
		cold: []int{1, 4}, coldSizes: []target.Size{target.Small},
		clients: []int{1, 16}, waiters: []int{16}, mixed: []int{16},
		rare: 4, hot: 36, burst: 10,
		containers: []int{1, 10}, sizes: []target.Size{target.Small, target.Large},
		iterations: 1_000, sieve: 100_000, rates: 5, minutes: 10, minute: 100 * time.Millisecond,
	}
}
