// Package draw draws from every generator that Go has.
package draw

import (
	crand "crypto/rand"
	"fmt"
	"hash/maphash"
	"math/rand"
	randv2 "math/rand/v2"
	"strings"
)

// Numbers are one of each, by the generator's name.
func Numbers() map[string]string {
	return map[string]string{
		"crypto/rand":  crand.Text(),
		"math/rand":    fmt.Sprint(rand.Int63()),
		"math/rand/v2": fmt.Sprint(randv2.Uint64()),
		"maphash":      fmt.Sprint(maphash.String(maphash.MakeSeed(), "")),
		"order":        order(),
	}
}

// order is that in which a map is gone through, which no two activations should
// share: of 64 keys there are enough orders.
func order() string {
	m := map[int]bool{}
	for i := range 64 {
		m[i] = true
	}
	var keys []string
	for k := range m {
		keys = append(keys, fmt.Sprint(k))
	}
	return strings.Join(keys, " ")
}
