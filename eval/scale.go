package eval

import (
	"fmt"
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
	distinct   []int         // containers with code of their own
	sizes      []target.Size // of the code in the others
	waiting    target.Size   // of the code of what waits
	kernels    []kernel      // what computes; the first of them under load, too
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
		containers: []int{1, 10, 100, 1000}, distinct: []int{1, 10, 100, 1000}, sizes: []target.Size{target.Small, target.Medium, target.Large},
		waiting: target.Large, kernels: []kernel{blake3(20_000), sieve(1_000_000)},
		rates: 24, minutes: 60, minute: time.Second,
	}
}

// quick is what ends within two minutes on two cores with as many targets as one
// machine has. A compiler that takes ten seconds for a Go program meets one of
// these only.
func quick() scale {
	return scale{
		rounds: 2, window: 120 * time.Millisecond,
		cold: []int{1, 4}, coldSizes: []target.Size{target.Small},
		clients: []int{1, 16}, waiters: []int{16}, mixed: []int{16},
		rare: 2, hot: 6, burst: 10,
		containers: []int{10}, sizes: []target.Size{target.Small},
		waiting: target.Small, kernels: []kernel{sieve(100_000)},
		rates: 3, minutes: 4, minute: 80 * time.Millisecond,
	}
}

// kernel is a program that computes.
type kernel struct {
	name, program, input string
}

func blake3(iterations int) kernel {
	return kernel{"BLAKE3", target.Hash, hashInput(iterations)}
}

func sieve(bound int) kernel {
	return kernel{"sieve", target.Prime, fmt.Sprintf(`{"upperBound":%d}`, bound)}
}

func (k kernel) action(name string) target.Action {
	return target.Action{Name: name, Program: k.program, Size: target.Large, Input: k.input}
}

// compute is the action that computes under load.
func (s scale) compute(name string) target.Action { return s.kernels[0].action(name) }

// wait is the action that waits.
func (s scale) wait(name string) target.Action {
	return target.Action{Name: name, Program: target.Block, Size: s.waiting}
}

// either is one that computes or one that waits, in turns.
func (s scale) either(i int, name string) target.Action {
	if i%2 == 0 {
		return s.compute(name)
	}
	return s.wait(name)
}

// own is an action with code of its own: where code is small, one that adds in the
// place of one that computes.
func (s scale) own(i int, name string) target.Action {
	a := s.either(i, name)
	if a.Program != target.Block && s.waiting == target.Small {
		a = target.Action{Name: name, Program: target.Add, Size: target.Small}
	}
	a.Code = name
	return a
}
