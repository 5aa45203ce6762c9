package executor

import (
	"log/slog"
	"strconv"
	"time"

	"wasmwhisk/engine/sandbox"
	"wasmwhisk/executor/action"
)

// TimingHeader is the header of every /init and /run answer that says where the
// time went, in the syntax of Server-Timing: "decode;dur=0.021, run;dur=1.5",
// in milliseconds. The phases are decode, intake, then one of compile, interpret,
// load and pool (how the module was had), snapshot, instantiate, and run, or
// run-interpreted before the module is compiled.
const TimingHeader = "X-Wasmwhisk-Timing"

// phase names a part of an initialization or activation.
type phase string

// The phases, in the order in which they happen. phaseSnapshot is missing where
// no snapshot was taken.
const (
	phaseDecode         phase = "decode"
	phaseIntake         phase = "intake"
	phaseCompile        phase = "compile"
	phaseInterpret      phase = "interpret"
	phaseLoad           phase = "load"
	phasePool           phase = "pool"
	phaseSnapshot       phase = "snapshot"
	phaseInstantiate    phase = "instantiate"
	phaseRun            phase = "run"
	phaseRunInterpreted phase = "run-interpreted"
)

func phases() []phase {
	return []phase{phaseDecode, phaseIntake, phaseCompile, phaseInterpret, phaseLoad, phasePool, phaseSnapshot, phaseInstantiate, phaseRun, phaseRunInterpreted}
}

// span is the time that a phase took.
type span struct {
	phase phase
	took  time.Duration
}

// timings are the phases of one request so far.
type timings struct{ spans []span }

func (t *timings) add(p phase, took time.Duration) { t.spans = append(t.spans, span{p, took}) }

// addSome leaves out a phase that did not happen.
func (t *timings) addSome(p phase, took time.Duration) {
	if took > 0 {
		t.add(p, took)
	}
}

// addTrial adds the phases of making an action.
func (t *timings) addTrial(trial action.Trial) {
	t.addSome(phaseIntake, trial.Intake)
	switch trial.Source {
	case action.Compiled:
		t.add(phaseCompile, trial.Module)
	case action.Interpreted:
		t.add(phaseInterpret, trial.Module)
	case action.Loaded:
		t.add(phaseLoad, trial.Module)
	case action.Pooled:
		t.add(phasePool, trial.Module)
	}
	t.addSome(phaseSnapshot, trial.Snapshot)
	t.addSome(phaseInstantiate, trial.Instantiate)
}

// addRun adds the phases of an activation.
func (t *timings) addRun(out sandbox.Outcome) {
	t.add(phaseInstantiate, out.Timings.Instantiate)
	if out.Provisional {
		t.add(phaseRunInterpreted, out.Timings.Run)
		return
	}
	t.add(phaseRun, out.Timings.Run)
}

// since adds the phase that began at start and ends now.
func (t *timings) since(p phase, start time.Time) { t.add(p, time.Since(start)) }

// header is the value of [TimingHeader].
func (t *timings) header() string { return string(t.appendTo(make([]byte, 0, 96))) }

// appendTo appends what header gives.
func (t *timings) appendTo(value []byte) []byte {
	for i, s := range t.spans {
		if i > 0 {
			value = append(value, ", "...)
		}
		value = append(value, s.phase...)
		value = append(value, ";dur="...)
		value = appendMilliseconds(value, s.took)
	}
	return value
}

// appendMilliseconds appends a time with four decimals.
func appendMilliseconds(to []byte, d time.Duration) []byte {
	tenths := int64(d.Round(100*time.Nanosecond)) / 100 // of a microsecond
	to = strconv.AppendInt(to, tenths/1e4, 10)
	digits := 1e4 + tenths%1e4 // the 1 holds the zeros in front
	at := len(to)
	to = strconv.AppendInt(to, digits, 10)
	to[at] = '.'
	return to
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// LogValue is a group with one attribute for each phase, in milliseconds.
func (t *timings) LogValue() slog.Value {
	attrs := make([]slog.Attr, len(t.spans))
	for i, s := range t.spans {
		attrs[i] = slog.Float64(string(s.phase), milliseconds(s.took))
	}
	return slog.GroupValue(attrs...)
}
