package whisk

import (
	"fmt"
	"net/http"
)

// ErrorKind classifies an [Error]. Each front maps kinds to its own answers.
type ErrorKind int

// The kinds of error. The zero value is no kind: a front that meets it has
// found a mistake of ours.
const (
	_                ErrorKind = iota
	BadRequest                 // what came does not make sense
	Forbidden                  // it does, but may not be done
	NotFound                   // it names what is not there
	TooLarge                   // it is longer than a limit allows
	Unsupported                // there is no such route or method
	NotReady                   // the action has no code yet
	ActionFault                // the action, or its developer, is at fault
	Unavailable                // not now: draining, or full
	Internal                   // the platform is at fault
	TooManyRequests            // not at this rate
	Unauthenticated            // it does not say who asks, or not truly
	Conflict                   // what is there stands against it
	Unprocessable              // what is there makes no sense
	UnsupportedMedia           // it is not written in JSON
)

// HTTPStatus is the status with which the REST API answers an error of this
// kind; the runtime protocol has a table of its own.
func (k ErrorKind) HTTPStatus() int {
	statuses := [...]int{
		BadRequest:       http.StatusBadRequest,
		Forbidden:        http.StatusForbidden,
		NotFound:         http.StatusNotFound,
		TooLarge:         http.StatusRequestEntityTooLarge,
		Unsupported:      http.StatusMethodNotAllowed,
		NotReady:         http.StatusServiceUnavailable,
		ActionFault:      http.StatusBadGateway,
		Unavailable:      http.StatusServiceUnavailable,
		Internal:         http.StatusInternalServerError,
		TooManyRequests:  http.StatusTooManyRequests,
		Unauthenticated:  http.StatusUnauthorized,
		Conflict:         http.StatusConflict,
		Unprocessable:    http.StatusUnprocessableEntity,
		UnsupportedMedia: http.StatusUnsupportedMediaType,
	}
	if k <= 0 || int(k) >= len(statuses) {
		return http.StatusInternalServerError
	}
	return statuses[k]
}

// Error is a refusal that its reader understands: the message is meant for the
// caller or for the developer of the action, and holds nothing internal.
type Error struct {
	Kind    ErrorKind
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errorf gives an Error with a formatted message.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}
