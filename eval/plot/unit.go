package plot

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// prefix is a unit as people write it.
type prefix struct {
	factor float64
	suffix string
}

// prefixes of a unit, the greatest first.
func prefixes(unit string) []prefix {
	switch unit {
	case "s":
		return []prefix{{1, " s"}, {1e-3, " ms"}, {1e-6, " µs"}, {1e-9, " ns"}}
	case "B":
		return []prefix{{1 << 40, " TiB"}, {1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}, {1, " B"}}
	case "1/s":
		return []prefix{{1e6, " M/s"}, {1e3, " k/s"}, {1, " /s"}}
	case "1", "":
		return []prefix{{1, ""}}
	}
	return []prefix{{1, " " + unit}}
}

// prefixFor is the greatest in which v is one or more; what rounds to one counts.
func prefixFor(v float64, unit string) prefix {
	all := prefixes(unit)
	for _, p := range all {
		if math.Abs(v) >= p.factor*0.9995 {
			return p
		}
	}
	if v == 0 {
		return prefix{1, cmp.Or(map[string]string{"s": " s", "B": " B", "1/s": " /s"}[unit], all[0].suffix)}
	}
	return all[len(all)-1]
}

// Label writes a value with three digits that count, in the unit that suits it:
// "1.20 ms" for 0.0012 and "s".
func Label(v float64, unit string) string {
	p := prefixFor(v, unit)
	return number(v/p.factor) + p.suffix
}

// number writes three digits that count, and all digits of greater integers.
func number(v float64) string {
	switch size := math.Abs(v); {
	case size == 0:
		return "0"
	case size >= 1e9 || size < 1e-3:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case size >= 99.95:
		return thousands(strconv.FormatFloat(v, 'f', 0, 64))
	case size >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// thousands sets commas into the digits of an integer.
func thousands(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// tickLabel writes a value without zeros that tell nothing: "5 ms", "0".
func tickLabel(v float64, p prefix) string {
	if v == 0 {
		return "0"
	}
	text := strconv.FormatFloat(v/p.factor, 'g', 6, 64)
	if scaled := math.Abs(v / p.factor); scaled >= 1e-4 && scaled < 1e9 {
		text = strconv.FormatFloat(v/p.factor, 'f', -1, 64)
		if rounded := strconv.FormatFloat(v/p.factor, 'f', 6, 64); len(rounded) < len(text) {
			text = strings.TrimRight(strings.TrimRight(rounded, "0"), ".")
		}
		if whole, rest, _ := strings.Cut(text, "."); rest == "" {
			text = thousands(whole)
		}
	}
	return text + p.suffix
}

// Range writes two values, with their unit once if it suits both: "1.20–3.40 ms".
func Range(low, high float64, unit string) string {
	p, q := prefixFor(low, unit), prefixFor(high, unit)
	if p.suffix != q.suffix && low != 0 {
		return Label(low, unit) + " – " + Label(high, unit)
	}
	return number(low/q.factor) + "–" + number(high/q.factor) + q.suffix
}
