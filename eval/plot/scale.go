package plot

import (
	"math"
	"slices"
)

// scale maps values to places on the paper.
type scale struct {
	lo, hi   float64 // the values at its ends
	from, to float64 // the places of the ends
	log      bool
	unit     string
}

type tick struct {
	value float64
	label string
}

// newScale covers values, from ends that are round. Linear ones begin at 0: the
// eye compares lengths. A logarithmic one leaves out what has no logarithm, and is
// linear if that is all.
func newScale(values []float64, unit string, log bool) scale {
	s := scale{unit: unit, log: log, to: 1}
	if log {
		positive := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v <= 0 })
		if s.log = len(positive) > 0; s.log {
			values = positive
		}
	}
	if len(values) == 0 {
		s.hi = 1
		return s
	}
	s.lo, s.hi = slices.Min(values), slices.Max(values)
	if s.log {
		s.lo, s.hi = roundLog(s.lo, s.hi, unit)
		return s
	}
	s.lo = min(s.lo, 0)
	if s.hi = max(s.hi, 0); s.lo == s.hi {
		s.hi = 1
	}
	step := s.step(5)
	if lo, hi := math.Floor(s.lo/step)*step, math.Ceil(s.hi/step)*step; !math.IsInf(hi-lo, 0) {
		s.lo, s.hi = lo, hi
	}
	return s
}

// tight covers sorted places and nothing beyond.
func tight(places []float64, log bool) scale {
	s := newScale(places, "1", log)
	if s.log {
		places = slices.DeleteFunc(slices.Clone(places), func(v float64) bool { return v <= 0 })
	}
	switch {
	case len(places) > 1:
		s.lo, s.hi = places[0], places[len(places)-1]
	case len(places) == 1 && !s.log: // in the middle
		s.lo, s.hi = places[0]-1, places[0]+1
	}
	return s
}

// across is the scale between two places.
func (s scale) across(from, to float64) scale {
	s.from, s.to = from, to
	return s
}

// at is the place of a value; values beyond the ends are at the ends.
func (s scale) at(v float64) float64 {
	share := 0.0
	switch {
	case !s.log:
		share = (v/2 - s.lo/2) / (s.hi/2 - s.lo/2)
	case v > 0:
		share = (math.Log(v) - math.Log(s.lo)) / (math.Log(s.hi) - math.Log(s.lo))
	}
	if math.IsNaN(share) {
		share = 0
	}
	return s.from + min(max(share, 0), 1)*(s.to-s.from)
}

// ticksAcross are as many as a horizontal axis has room for.
func (s scale) ticksAcross() []tick { return s.ticks(max(2, int((s.to-s.from)/50))) }

// ticks are about n places worth a label.
func (s scale) ticks(n int) []tick {
	if s.log {
		return s.logTicks(n)
	}
	step := s.step(n)
	p := prefixFor(max(math.Abs(s.hi), math.Abs(s.lo)), s.unit)
	var all []tick
	for i := math.Ceil(s.lo/step - 1e-9); i <= math.Floor(s.hi/step+1e-9); i++ {
		all = append(all, tick{i * step, tickLabel(i*step, p)})
	}
	return all
}

// step is the distance of about n ticks: 1, 2 or 5 times a power of ten, in the
// unit that the labels are written in.
func (s scale) step(n int) float64 {
	factor := prefixFor(max(math.Abs(s.hi), math.Abs(s.lo)), s.unit).factor
	rough := (s.hi/float64(n) - s.lo/float64(n)) / factor
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * power * factor
	for _, m := range []float64{5, 2, 1} {
		if m*power >= rough*0.999 {
			step = m * power * factor
		}
	}
	if step == 0 { // nothing that a float64 holds is as small
		return s.hi - s.lo
	}
	return step
}

// roundLog widens a range to ends that are labelled: 1, 2 or 5 times a power of
// ten; powers of two for bytes.
func roundLog(lo, hi float64, unit string) (from, to float64) {
	if unit == "B" {
		from, to = math.Exp2(math.Floor(math.Log2(lo))), math.Exp2(math.Ceil(math.Log2(hi)))
	} else {
		from, to = roundDown(lo), roundUp(hi)
	}
	if from == 0 || math.IsInf(to, 0) { // at the ends of what a float64 holds
		from, to = lo, hi
	}
	if from == to {
		from, to = from/2, to*2
	}
	return from, to
}

func roundDown(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*power <= v*1.000001 {
			return m * power
		}
	}
	return power
}

func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*0.999999 {
			return m * power
		}
	}
	return 10 * power
}

// logTicks are powers of ten, with 2 and 5 between them where there is room, or
// powers of two for bytes.
func (s scale) logTicks(n int) []tick {
	base, between := 10.0, []float64{1}
	if s.unit == "B" {
		base = 2
	}
	powers := (math.Log(s.hi) - math.Log(s.lo)) / math.Log(base)
	if base == 10 && powers*3 <= float64(n)+1 {
		between = []float64{1, 2, 5}
	}
	every := max(1, math.Ceil(powers/float64(n+1)))
	var all []tick
	first, last := math.Floor(math.Log(s.lo)/math.Log(base)+1e-9), math.Ceil(math.Log(s.hi)/math.Log(base))
	for i := math.Floor(first/every) * every; i <= last; i += every {
		for _, m := range between {
			if v := m * math.Pow(base, i); v >= s.lo*0.999999 && v <= s.hi*1.000001 {
				all = append(all, tick{v, tickLabel(v, prefixFor(v, s.unit))})
			}
		}
	}
	return all
}
