package rewrite_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wasmwhisk/engine/rewrite"
	"wasmwhisk/internal/wat"
)

// nested is a function of n loops within each other that touch n locals.
func nested(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "(module (func (local%s)", strings.Repeat(" i32", n+1))
	for i := range n {
		fmt.Fprintf(&b, " loop local.get %d local.set %d", i, i+1)
	}
	b.WriteString(strings.Repeat(" i32.const 0 br_if 0 end", n) + "))")
	return b.String()
}

// The weight of what is slow to compile must show it, and that of the ordinary
// must not.
func TestWeigh(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, src   string
		least, most time.Duration
	}{
		{"nothing", "(module)", time.Microsecond, time.Millisecond},
		{"adding", `(module (func (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))`, time.Microsecond, time.Millisecond},
		{"5 nested loops", nested(5), time.Microsecond, 10 * time.Millisecond},
		{"100 nested loops", nested(100), 400 * time.Millisecond, time.Minute},
		{"1000 nested loops", nested(1000), time.Hour, 100 * time.Hour},
		{"many locals", "(module (func (local" + strings.Repeat(" i64", 40_000) + ")))", time.Millisecond, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := rewrite.Weigh(wat.Must(c.src))
			if err != nil || got < c.least || got > c.most {
				t.Errorf("Weigh = %v, %v, want %v to %v", got, err, c.least, c.most)
			}
		})
	}
}

func FuzzWeigh(f *testing.F) {
	f.Add(wat.Must(nested(3)))
	f.Add(wat.Must(`(module (func (param i32) block local.get 0 br_table 0 1 0 end) (func i32.const 1 call 0))`))
	f.Fuzz(func(t *testing.T, binary []byte) {
		got, err := rewrite.Weigh(binary)
		if err == nil && got <= 0 {
			t.Errorf("Weigh = %v", got)
		}
		_, rewritten := rewrite.Rewrite(binary, rewrite.Options{Guard: true, Capture: true})
		if err != nil && rewritten == nil {
			t.Errorf("Weigh = %v of a binary that can be rewritten", err)
		}
	})
}
