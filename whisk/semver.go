package whisk

import (
	"fmt"
	"strconv"
	"strings"
)

// SemVer is the version of an entity. In JSON it is a string: "0.0.1".
type SemVer struct{ Major, Minor, Patch int }

// FirstVersion is that of an entity created without one.
func FirstVersion() SemVer { return SemVer{Patch: 1} }

// ParseSemVer reads one to three numbers with dots between; the rest is 0.
func ParseSemVer(s string) (SemVer, error) {
	parts := strings.Split(s, ".")
	var n [3]int
	if len(parts) > len(n) {
		return SemVer{}, errVersion(s)
	}
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return SemVer{}, errVersion(s)
		}
		n[i] = int(v)
	}
	if n == [3]int{} {
		return SemVer{}, errVersion(s)
	}
	return SemVer{Major: n[0], Minor: n[1], Patch: n[2]}, nil
}

func errVersion(s string) error { return Malformed(fmt.Sprintf("bad semantic version %q", s)) }

// Next is the version of the next update.
func (v SemVer) Next() SemVer {
	v.Patch++
	return v
}

func (v SemVer) String() string {
	return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) + "." + strconv.Itoa(v.Patch)
}

// MarshalText gives the string of JSON.
func (v SemVer) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads it.
func (v *SemVer) UnmarshalText(text []byte) error {
	parsed, err := ParseSemVer(string(text))
	if err == nil {
		*v = parsed
	}
	return err
}
