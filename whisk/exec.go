package whisk

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
)

// The kinds that are no runtime's.
const (
	KindSequence Kind = "sequence"
	KindBlackbox Kind = "blackbox"
)

// Digest is the SHA-256 of an action's code. The zero value is that of no code.
type Digest [sha256.Size]byte

// DigestOf is the digest of code.
func DigestOf(code []byte) Digest { return sha256.Sum256(code) }

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Exec says what an action runs.
//
// Code is as it is run, base64 undone. It is nil where only a reference is at
// hand, as in what a store gives: Digest names it then. In JSON the code is
// base64 when Binary says so, and absent when it is nil; Digest never shows.
type Exec struct {
	Kind       Kind
	Code       []byte
	Digest     Digest
	Binary     bool
	Main       string
	Image      string
	Components []FullyQualifiedName // of a sequence
}

// NewExec is the exec of a raw binary.
func NewExec(kind Kind, code []byte) Exec {
	return Exec{Kind: kind, Code: code, Digest: DigestOf(code), Binary: true}
}

type execJSON struct {
	Kind       string    `json:"kind"`
	Code       *string   `json:"code,omitempty"`
	Binary     *bool     `json:"binary,omitempty"`
	Main       string    `json:"main,omitempty"`
	Image      string    `json:"image,omitempty"`
	Components *[]string `json:"components,omitempty"`
}

// MarshalJSON gives what clients read.
func (e Exec) MarshalJSON() ([]byte, error) {
	out := execJSON{Kind: string(e.Kind), Main: e.Main, Image: e.Image}
	if e.Kind == KindSequence {
		names := make([]string, len(e.Components))
		for i, c := range e.Components {
			names[i] = c.String()
		}
		out.Components = &names
		return Encode(out)
	}
	out.Binary = &e.Binary
	if e.Code != nil {
		text := e.text()
		out.Code = &text
	}
	return Encode(out)
}

func (e Exec) text() string {
	if e.Binary {
		return base64.StdEncoding.EncodeToString(e.Code)
	}
	return string(e.Code)
}

// UnmarshalJSON reads what clients send. Whether code is binary is found out,
// whatever they say.
func (e *Exec) UnmarshalJSON(data []byte) error {
	var in execJSON
	wrong, mistyped := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(data, &in))
	switch {
	case in.Kind == "":
		return Malformed("'kind' must be a string defined in 'exec'")
	case mistyped:
		return errWrongType(wrong)
	}
	read := Exec{Kind: Kind(strings.ToLower(strings.TrimSpace(in.Kind))), Main: in.Main, Image: in.Image}
	if err := read.readComponents(in.Components); err != nil {
		return err
	}
	if err := read.readCode(in.Code); err != nil {
		return err
	}
	*e = read
	return nil
}

func (e *Exec) readComponents(names *[]string) error {
	if e.Kind != KindSequence {
		return nil
	}
	if names == nil {
		return Malformed("'components' must be defined for sequence kind")
	}
	for _, s := range *names {
		name, err := ParseFullyQualifiedName(s)
		if err != nil {
			return err
		}
		e.Components = append(e.Components, name)
	}
	return nil
}

func (e *Exec) readCode(code *string) error {
	switch {
	case e.Kind == KindSequence:
		return nil
	case e.Kind == KindBlackbox && e.Image == "":
		return Malformed("'image' must be a string defined in 'exec' for 'blackbox' actions")
	case e.Kind == KindBlackbox && code == nil:
		return nil
	case code == nil:
		return Malformed("'code' must be a string or attachment object defined in 'exec' for '" + string(e.Kind) + "' actions")
	case len(*code) > MaxCodeBytes:
		return errTooLarge("exec", len(*code), MaxCodeBytes)
	}
	e.Code, e.Binary = decodeCode(*code)
	e.Digest = DigestOf(e.Code)
	return nil
}

// decodeCode takes for base64 what is base64 from end to end, as OpenWhisk does.
func decodeCode(text string) (code []byte, binary bool) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || len(trimmed)%4 != 0 || strings.ContainsAny(trimmed, "\r\n") {
		return []byte(text), false
	}
	decoded, err := base64.StdEncoding.DecodeString(trimmed)
	if err != nil {
		return []byte(text), false
	}
	return decoded, true
}
