// Command plain knows nothing of this project: it reads a JSON object from its
// standard input, byte by byte, and answers with that, with its environment, and
// with numbers from every generator that Go has, drawn while it started and
// since.
package main

import (
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand"
	randv2 "math/rand/v2"
	"os"
	"testing/iotest"
)

var (
	drawn = numbers()
	salt  = maphash.MakeSeed()
)

func main() {
	input, err := io.ReadAll(iotest.OneByteReader(os.Stdin))
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"input": json.RawMessage(input),
		"env":   os.Environ(),
		"first": drawn,
		"then":  numbers(),
		"salt":  fmt.Sprint(maphash.String(salt, "")),
	})
	if err != nil {
		panic(err)
	}
}

func numbers() map[string]string {
	return map[string]string{
		"crypto/rand":  crand.Text(),
		"math/rand":    fmt.Sprint(rand.Int63()),
		"math/rand/v2": fmt.Sprint(randv2.Uint64()),
		"maphash":      fmt.Sprint(maphash.String(maphash.MakeSeed(), "")),
		"order":        order(),
	}
}

// order is that in which a map is gone through: of 64 keys there are enough.
func order() (keys string) {
	m := map[int]bool{}
	for i := range 64 {
		m[i] = true
	}
	for k := range m {
		keys += fmt.Sprint(k, " ")
	}
	return keys
}
