package wat

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	decimalUint  = regexp.MustCompile(`^[0-9](_?[0-9])*$`)
	hexUint      = regexp.MustCompile(`^0x[0-9a-fA-F](_?[0-9a-fA-F])*$`)
	decimalFloat = regexp.MustCompile(`^[0-9](_?[0-9])*(\.([0-9](_?[0-9])*)?)?([eE][+-]?[0-9](_?[0-9])*)?$`)
	hexFloat     = regexp.MustCompile(`^0x[0-9a-fA-F](_?[0-9a-fA-F])*(\.([0-9a-fA-F](_?[0-9a-fA-F])*)?)?([pP][+-]?[0-9](_?[0-9])*)?$`)
)

// parseUint reads a number without sign that fits in so many bits.
func parseUint(s string, bits int) (uint64, bool) {
	base := 10
	switch {
	case hexUint.MatchString(s):
		s, base = s[2:], 16
	case !decimalUint.MatchString(s):
		return 0, false
	}
	v, err := strconv.ParseUint(strings.ReplaceAll(s, "_", ""), base, bits)
	return v, err == nil
}

// parseInt reads a number that fits in so many bits, as signed or as unsigned,
// and gives it with its sign extended from there.
func parseInt(s string, bits int) (int64, bool) {
	sign, digits := cutSign(s)
	v, ok := parseUint(digits, bits)
	if sign == '-' {
		return int64(-v), ok && v <= 1<<(bits-1)
	}
	shift := 64 - bits
	return int64(v<<shift) >> shift, ok
}

// parseFloat gives the representation of a 32 or 64 bit float.
func parseFloat(s string, bits int) (uint64, bool) {
	sign, magnitude := cutSign(s)
	v, ok := parseMagnitude(magnitude, bits)
	if sign == '-' {
		v |= 1 << (bits - 1)
	}
	return v, ok
}

func cutSign(s string) (sign byte, rest string) {
	if c := first(s); c == '+' || c == '-' {
		return c, s[1:]
	}
	return '+', s
}

func parseMagnitude(s string, bits int) (uint64, bool) {
	mantissa := 23
	infinity := uint64(math.Float32bits(float32(math.Inf(1))))
	if bits == 64 {
		mantissa, infinity = 52, math.Float64bits(math.Inf(1))
	}
	if s == "inf" {
		return infinity, true
	}
	if s == "nan" {
		return infinity | 1<<(mantissa-1), true
	}
	if payload, ok := strings.CutPrefix(s, "nan:"); ok {
		v, ok := parseUint(payload, mantissa)
		return infinity | v, ok && v != 0 && hexUint.MatchString(payload)
	}
	return parseFinite(s, bits)
}

func parseFinite(s string, bits int) (uint64, bool) {
	switch {
	case hexFloat.MatchString(s):
		if !strings.ContainsAny(s, "pP") {
			s += "p0" // which Go insists on
		}
	case !decimalFloat.MatchString(s):
		return 0, false
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), bits)
	if bits == 32 {
		return uint64(math.Float32bits(float32(v))), err == nil
	}
	return math.Float64bits(v), err == nil
}
