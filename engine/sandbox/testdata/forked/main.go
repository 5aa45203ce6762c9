// Command forked knows nothing of this project: it reads a JSON object from its
// standard input, adds two numbers of it, and does what else it is told. Until it
// reads it learns nothing of what is asked of it.
package main

import (
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math/rand"
	randv2 "math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

type input struct {
	Param1, Param2 int
	Do             string
	Text           string
}

var (
	began = time.Now()
	fixed = randv2.NewChaCha8([32]byte([]byte("a seed of the author, 32 bytes..")))
	runs  int
	kept  []string
	large []byte
)

func main() {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		fail(err)
	}
	runs++
	kept = append(kept, in.Text)
	if runs > 1 || len(kept) > 1 || large != nil {
		fail("this is not the first run")
	}
	if in.Do == "" {
		answer(sum{in.Param1 + in.Param2})
		return
	}
	out := map[string]any{}
	do(in, out)
	answer(out)
}

type sum struct {
	Result int `json:"result"`
}

func answer(v any) {
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		fail(err)
	}
}

func fail(why any) {
	fmt.Println(why)
	os.Exit(2)
}

func do(in input, out map[string]any) {
	switch in.Do {
	case "exit":
		os.Exit(3)
	case "panic":
		panic(in.Text)
	case "nest":
		nest(1 << 30)
	case "spin":
		for runs > 0 {
			runs |= 1
		}
	case "grow":
		large = []byte(strings.Repeat(in.Text, 8<<20/len(in.Text)))
		out["length"] = len(large)
	case "log":
		fmt.Println("out:", in.Text)
		fmt.Fprintln(os.Stderr, "err:", in.Text)
	case "echo":
		out["text"] = in.Text
	case "again":
		n, err := os.Stdin.Read(make([]byte, 1))
		out["again"] = fmt.Sprint(n, err)
		os.Stdin.Close()
	case "sleep":
		time.Sleep(time.Millisecond)
		out["waited"] = time.Since(began) >= time.Millisecond
	case "look":
		out["args"], out["env"] = os.Args, os.Environ()
		out["time"], out["since"] = time.Now().UnixNano(), int64(time.Since(began))
	case "draw":
		draw(out)
	}
}

func nest(n int) int {
	if n == 0 {
		return 0
	}
	return nest(n-1) + runs
}

func draw(out map[string]any) {
	out["crypto/rand"] = crand.Text()
	out["math/rand"] = fmt.Sprint(rand.Int63())
	out["math/rand/v2"] = fmt.Sprint(randv2.Uint64())
	out["maphash"] = fmt.Sprint(maphash.String(maphash.MakeSeed(), ""))
	out["order"] = order()
	out["fixed"] = fmt.Sprint(fixed.Uint64())
}

// order is that in which a map is gone through: of 64 keys there are enough.
func order() string {
	m := map[int]bool{}
	for i := range 64 {
		m[i] = true
	}
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	if slices.IsSorted(keys) {
		fail("the order of a map is that of its keys")
	}
	return fmt.Sprint(keys)
}
