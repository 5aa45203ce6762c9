// Command kernels keeps the CPU busy in the ways that Go programs do. It is the
// guest of package rewrite's benchmarks.
package main

import (
	"encoding/json"
	"slices"

	"lukechampine.com/blake3"
)

func main() {}

//go:wasmexport blake3
func blake(n uint32) uint32 {
	data := make([]byte, 4096)
	for range n {
		sum := blake3.Sum256(data)
		copy(data, sum[:])
	}
	return uint32(data[0])
}

//go:wasmexport sieve
func sieve(n uint32) uint32 {
	composite := make([]bool, 1<<20)
	count := uint32(0)
	for range n {
		clear(composite)
		count = 0
		for i := 2; i < len(composite); i++ {
			if composite[i] {
				continue
			}
			count++
			for j := 2 * i; j < len(composite); j += i {
				composite[j] = true
			}
		}
	}
	return count
}

//go:wasmexport sort
func sort(n uint32) uint32 {
	numbers := make([]uint32, 10_000)
	x := uint32(1)
	for range n {
		for i := range numbers {
			x = x*1664525 + 1013904223
			numbers[i] = x >> 8
		}
		slices.SortFunc(numbers, func(a, b uint32) int { return int(a) - int(b) })
	}
	return numbers[len(numbers)/2]
}

//go:wasmexport matmul
func matmul(n uint32) uint32 {
	const size = 128
	var a, b, c [size][size]float64
	for i := range size {
		for j := range size {
			a[i][j], b[i][j] = float64(i*j%7), float64((i+j)%5)
		}
	}
	for range n {
		for i := range size {
			for j := range size {
				sum := 0.0
				for k := range size {
					sum += a[i][k] * b[k][j]
				}
				c[i][j] = sum
			}
		}
	}
	return uint32(c[3][77])
}

type record struct {
	Name   string            `json:"name"`
	Age    int               `json:"age"`
	Tags   []string          `json:"tags"`
	Labels map[string]string `json:"labels"`
}

//go:wasmexport json
func roundTrip(n uint32) uint32 {
	r := record{"Grace", 85, []string{"navy", "compiler", "nanoseconds"}, map[string]string{"a": "b", "c": "d"}}
	for range n {
		text, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		r.Labels = nil
		if err := json.Unmarshal(text, &r); err != nil {
			panic(err)
		}
	}
	return uint32(len(r.Labels) + r.Age)
}
