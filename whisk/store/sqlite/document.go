package sqlite

import (
	"encoding/json"
	"fmt"

	"wasmwhisk/whisk"
)

// actionDoc is an action as it is stored. What clients are shown is no guide
// here: it has code, and a kind decides what else.
type actionDoc struct {
	whisk.Header
	Parameters whisk.Parameters   `json:"parameters"`
	Limits     whisk.ActionLimits `json:"limits"`
	Exec       execDoc            `json:"exec"`
}

// execDoc is an exec without its code, which has a table of its own.
type execDoc struct {
	Kind       whisk.Kind                 `json:"kind"`
	Binary     bool                       `json:"binary,omitempty"`
	Main       string                     `json:"main,omitempty"`
	Image      string                     `json:"image,omitempty"`
	Components []whisk.FullyQualifiedName `json:"components,omitempty"`
}

// encodeEntity gives the document of e.
func encodeEntity(e whisk.Entity) ([]byte, error) {
	switch e := e.(type) {
	case *whisk.Action:
		exec := execDoc{Kind: e.Exec.Kind, Binary: e.Exec.Binary, Main: e.Exec.Main, Image: e.Exec.Image, Components: e.Exec.Components}
		return whisk.Encode(actionDoc{Header: e.Header, Parameters: e.Parameters, Limits: e.Limits, Exec: exec})
	case *whisk.Trigger:
		bare := *e
		bare.Rules = nil
		return whisk.Encode(&bare)
	default:
		return whisk.Encode(e)
	}
}

// decodeEntity reads the document of an entity of a kind.
func decodeEntity(kind whisk.EntityKind, doc, digest []byte) (whisk.Entity, error) {
	var e whisk.Entity
	switch kind {
	case whisk.ActionEntity:
		return decodeAction(doc, digest)
	case whisk.PackageEntity:
		e = &whisk.Package{}
	case whisk.TriggerEntity:
		e = &whisk.Trigger{}
	case whisk.RuleEntity:
		e = &whisk.Rule{}
	default:
		return nil, fmt.Errorf("entity of unknown kind %q", kind)
	}
	return e, json.Unmarshal(doc, e)
}

func decodeAction(doc, digest []byte) (*whisk.Action, error) {
	var d actionDoc
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, err
	}
	a := &whisk.Action{
		Header:     d.Header,
		Parameters: d.Parameters,
		Limits:     d.Limits,
		Exec:       whisk.Exec{Kind: d.Exec.Kind, Binary: d.Exec.Binary, Main: d.Exec.Main, Image: d.Exec.Image, Components: d.Exec.Components},
	}
	copy(a.Exec.Digest[:], digest)
	return a, nil
}
