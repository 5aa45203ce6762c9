package eval

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"wasmwhisk/eval/load"
	"wasmwhisk/eval/target"
)

func TestReadTrace(t *testing.T) {
	t.Parallel()
	const head = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\n"
	got, err := ReadTrace(strings.NewReader(head + "o,a,f,http,0,2,1\no,a,g,timer,1,0,0\n"))
	require.NoError(t, err)
	assert.Equal(t, &Trace{Functions: []Function{{"f", []int{0, 2, 1}}, {"g", []int{1, 0, 0}}}}, got)

	for name, c := range map[string]struct{ text, want string }{
		"nothing":         {"", "trace: EOF"},
		"other columns":   {"a,b\n", `columns are "a,b"`},
		"no functions":    {head, "has no functions"},
		"a negative":      {head + "o,a,f,http,0,-2,1\n", `line 2: minute 2: "-2" is not a number of invocations`},
		"no number":       {head + "o,a,f,http,0,x,1\n", `minute 2: "x"`},
		"too many":        {head + "o,a,f,http,99999999999,0,0\n", "minute 1"},
		"a minute missed": {head + "o,a,f,http,0,1\n", "wrong number of fields"},
	} {
		_, err := ReadTrace(strings.NewReader(c.text))
		assert.ErrorContains(t, err, c.want, "ReadTrace of %s", name)
	}
}

func FuzzReadTrace(f *testing.F) {
	f.Add("HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,http,0,2\n")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := ReadTrace(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, busy := range trace.busiest(3) {
			assert.Positive(t, total(busy.Minutes), "invocations of %q in the busiest minutes", busy.Name)
		}
	})
}

func TestSampleTrace(t *testing.T) {
	t.Parallel()
	trace, err := SampleTrace()
	require.NoError(t, err)
	for _, f := range trace.Functions {
		assert.Len(t, f.Minutes, 1440, "minutes of %s", f.Name)
	}
}

func TestBusiest(t *testing.T) {
	t.Parallel()
	trace := Trace{Functions: []Function{
		{"early", []int{9, 0, 0, 0}},
		{"late", []int{0, 0, 7, 7}},
		{"idle", []int{0, 0, 0, 0}},
		{"short", []int{1}},
	}}
	assert.Equal(t, []Function{{"late", []int{7, 7}}}, trace.busiest(2))
	assert.Len(t, trace.busiest(100), 3, "functions of the whole trace")
}

func TestRates(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]float64{0: 1, 1: 1, 1.5: 1.3, 99: 75, 100: 100, 4321: 4200} {
		assert.InEpsilon(t, want, roundRate(rate), 1e-9, "roundRate(%g)", rate)
	}
	rate := 1.0
	for range 16 {
		next := nextRate(rate)
		require.Greater(t, next, rate, "nextRate(%g)", rate)
		require.LessOrEqual(t, next, rate*1.4, "nextRate(%g)", rate)
		rate = next
	}
	assert.InEpsilon(t, 100, rate, 1e-9, "sixteen steps from 1")
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		record string
		took   time.Duration
		cold   bool
	}{
		{`{"annotations":[{"key":"waitTime","value":3},{"key":"initTime","value":4},{"key":"kind","value":"wasm:0.1"}]}`, 7 * time.Millisecond, true},
		{`{"annotations":[{"key":"waitTime","value":3}]}`, 3 * time.Millisecond, false},
		{`{"annotations":[{"key":"initTime","value":"4"}]}`, 0, false},
		{`{}`, 0, false},
		{`no JSON`, 0, false},
	} {
		took, cold := recorded([]byte(c.record))
		assert.Equal(t, c.took, took, "recorded(%s)", c.record)
		assert.Equal(t, c.cold, cold, "recorded(%s)", c.record)
	}
}

func TestColdOf(t *testing.T) {
	t.Parallel()
	prepared := load.Sample{Prepared: true, Steps: []time.Duration{1, 2}}
	samples := []load.Sample{prepared, {}, {}, {Prepared: true, Steps: []time.Duration{1, 2}, Failure: "timeout"}, {}}
	assert.InEpsilon(t, 0.25, coldOf(target.Runtime, samples), 1e-9)
	assert.Zero(t, coldOf(target.Runtime, nil))
}

// Each condition is measured for all its targets in a row, which take turns in
// who is first.
func TestInTurn(t *testing.T) {
	t.Parallel()
	var steps []step
	for x := range 2 {
		for range 3 {
			steps = append(steps, step{trial: trial{x: float64(x)}})
		}
	}
	for i := range steps {
		steps[i].trial.fits = nil
		steps[i].target = numbered(i)
	}
	for round, want := range [][]numbered{{0, 1, 2, 3, 4, 5}, {1, 2, 0, 4, 5, 3}, {2, 0, 1, 5, 3, 4}, {0, 1, 2, 3, 4, 5}} {
		var got []numbered
		for _, s := range inTurn(steps, round) {
			got = append(got, s.target.(numbered))
		}
		assert.Equal(t, want, got, "inTurn in round %d", round)
	}
}

// numbered is a target that is only told apart.
type numbered int

func (numbered) Name() string                                                    { return "" }
func (numbered) Description() string                                             { return "" }
func (numbered) Protocol() target.Protocol                                       { return target.Runtime }
func (numbered) Start(context.Context) error                                     { return nil }
func (numbered) Stop() error                                                     { return nil }
func (numbered) Settle(context.Context) error                                    { return nil }
func (numbered) Restart(context.Context) error                                   { return nil }
func (numbered) Remove(context.Context, *target.Deployed) error                  { return nil }
func (numbered) Resident(context.Context) (int64, error)                         { return 0, nil }
func (numbered) Action(context.Context, target.Action) (*target.Deployed, error) { return nil, nil }
