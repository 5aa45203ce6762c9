// Command prime is an action that counts the primes up to a bound.
package main

import (
	"errors"

	"wasmwhisk/actionsdk"
)

func main() { actionsdk.Handle(primes) }

type input struct {
	UpperBound *int `json:"upperBound"`
}

type output struct {
	Result int `json:"result"`
}

func primes(_ actionsdk.Context, in input) (output, error) {
	if in.UpperBound == nil {
		return output{}, errors.New("expected upperBound")
	}
	return output{count(*in.UpperBound)}, nil
}

// count is the sieve of Eratosthenes.
func count(bound int) int {
	composite := make([]bool, max(bound, 0)+1)
	n := 0
	for p := 2; p <= bound; p++ {
		if composite[p] {
			continue
		}
		n++
		for multiple := p * p; multiple <= bound; multiple += p {
			composite[multiple] = true
		}
	}
	return n
}
