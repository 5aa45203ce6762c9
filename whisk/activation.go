package whisk

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// ActivationID names an activation: 32 lower-case hexadecimal digits.
type ActivationID string

const activationIDLength = 32

// NewActivationID gives one that nobody guesses, a UUID of version 7 without its
// dashes. It begins with the time, so that those made after it are greater: what
// is kept by id grows at its end.
func NewActivationID() ActivationID {
	var b [activationIDLength / 2]byte
	_, _ = rand.Read(b[6:]) // never fails
	ms := uint64(time.Now().UnixMilli())
	binary.BigEndian.PutUint16(b[:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return ActivationID(hex.EncodeToString(b[:]))
}

// ParseActivationID checks s; its errors are BadRequest with OpenWhisk's texts.
func ParseActivationID(s string) (ActivationID, error) {
	if len(s) != activationIDLength {
		return "", Errorf(BadRequest, "Activation id length is %d but must be %d.", len(s), activationIDLength)
	}
	if strings.Trim(s, "0123456789abcdef") != "" {
		return "", Errorf(BadRequest, "The activation id is not valid.")
	}
	return ActivationID(s), nil
}

// Activation is the record of one run of an action or one firing of a trigger.
type Activation struct {
	// Namespace is that of who invoked, not that of the action.
	Namespace EntityName   `json:"namespace"`
	Name      EntityName   `json:"name"`
	Version   SemVer       `json:"version"`
	Subject   string       `json:"subject"`
	ID        ActivationID `json:"activationId"`
	Cause     ActivationID `json:"cause,omitempty"` // the sequence that it is part of
	Start     Timestamp    `json:"start"`
	End       Timestamp    `json:"end,omitempty"` // 0 for a trigger's
	// Duration in milliseconds, that of the initialization included; nil for a
	// trigger's.
	Duration    *int64     `json:"duration,omitempty"`
	Response    Response   `json:"response"`
	Logs        []string   `json:"logs"`
	Annotations Parameters `json:"annotations"`
	Publish     bool       `json:"publish"`
}

// Response is how an activation ended.
type Response struct {
	Status Status
	Result json.RawMessage // nil is none
	Size   int             // bytes of the result as the action wrote it
}

type responseJSON struct {
	Result  json.RawMessage `json:"result,omitempty"`
	Size    int             `json:"size"`
	Status  string          `json:"status"`
	Success bool            `json:"success"`
}

// MarshalJSON gives the status in words.
func (r Response) MarshalJSON() ([]byte, error) {
	return Encode(responseJSON{Result: r.Result, Size: r.Size, Status: r.Status.String(), Success: r.Status == Success})
}

// UnmarshalJSON reads the status from its words.
func (r *Response) UnmarshalJSON(data []byte) error {
	var in responseJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*r = Response{Status: InternalError, Result: in.Result, Size: in.Size}
	for _, s := range []Status{Success, ApplicationError, DeveloperError} {
		if s.String() == in.Status {
			r.Status = s
		}
	}
	return nil
}

// ActivationSummary is an activation as lists show it.
type ActivationSummary struct {
	Namespace   EntityName   `json:"namespace"`
	Name        EntityName   `json:"name"`
	Version     SemVer       `json:"version"`
	Publish     bool         `json:"publish"`
	Annotations Parameters   `json:"annotations"`
	ID          ActivationID `json:"activationId"`
	Start       Timestamp    `json:"start"`
	End         Timestamp    `json:"end,omitempty"`
	Duration    *int64       `json:"duration,omitempty"`
	Cause       ActivationID `json:"cause,omitempty"`
	StatusCode  Status       `json:"statusCode"`
}

// Summary is the activation as lists show it.
func (a *Activation) Summary() *ActivationSummary {
	return &ActivationSummary{
		Namespace: a.Namespace, Name: a.Name, Version: a.Version, Publish: a.Publish,
		Annotations: a.Annotations, ID: a.ID, Start: a.Start, End: a.End,
		Duration: a.Duration, Cause: a.Cause, StatusCode: a.Response.Status,
	}
}

// FilterName is what lists by name look for: "action" or "pkg/action", where pkg
// is the binding that was used, if one was.
func (a *Activation) FilterName() string {
	path, _ := a.Annotations.Text("path")
	segments := strings.Split(path, "/")
	if len(segments) != 3 {
		return string(a.Name)
	}
	pkg := segments[1]
	if binding, ok := a.Annotations.Text("binding"); ok {
		_, pkg, _ = strings.Cut(binding, "/")
	}
	return pkg + "/" + string(a.Name)
}
