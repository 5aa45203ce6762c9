package result

import (
	"maps"
	"slices"
)

// maxECDF is at how many places a distribution is kept: every half per cent.
const maxECDF = 201

func (at *place) summarize(x float64) Point {
	p := Point{X: x, Failed: at.failed, Saturated: at.saturated}
	var values []float64
	for _, round := range slices.Sorted(maps.Keys(at.rounds)) {
		of := slices.Sorted(slices.Values(at.rounds[round]))
		p.Rounds = append(p.Rounds, quantile(of, 0.5))
		values = append(values, of...)
	}
	if len(values) == 0 {
		return p
	}
	slices.Sort(values)
	p.Count = len(values)
	p.Mean = mean(values)
	p.Quantiles = quantiles(values)
	p.ECDF = ecdf(values)
	return p
}

func quantiles(sorted []float64) Quantiles {
	at := func(q float64) float64 { return quantile(sorted, q) }
	return Quantiles{
		Min: at(0), P10: at(0.10), P25: at(0.25), P50: at(0.5), P75: at(0.75),
		P90: at(0.90), P95: at(0.95), P99: at(0.99), Max: at(1),
	}
}

// quantile interpolates between the two values next to q.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	rest := at - float64(below)
	return sorted[below]*(1-rest) + sorted[below+1]*rest
}

// mean adds up shares rather than values, whose sum may exceed any float64.
func mean(values []float64) float64 {
	var m float64
	for i, v := range values {
		n := float64(i + 1)
		m += v/n - m/n
	}
	return m
}

func ecdf(sorted []float64) []float64 {
	places := min(len(sorted), maxECDF)
	if places < 2 {
		return slices.Clone(sorted)
	}
	at := make([]float64, places)
	for i := range at {
		at[i] = quantile(sorted, float64(i)/float64(places-1))
	}
	return at
}
