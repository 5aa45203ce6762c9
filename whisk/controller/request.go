package controller

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/entitlement"
	"wasmwhisk/whisk/store"
)

// request is a request of a caller, about a namespace.
type request struct {
	echo.Context
	controller *Controller
	caller     caller
	namespace  whisk.EntityName // that the path names
	received   time.Time
}

// handler answers requests, or gives an error that says why not.
type handler func(*request) error

// newRequest reads what all paths of the API have in common.
func (c *Controller) newRequest(e echo.Context) (*request, error) {
	who, ok := e.Get(callerKey).(caller)
	if !ok {
		return nil, whisk.Errorf(whisk.Unauthenticated, textNoCredentials)
	}
	r := &request{Context: e, controller: c, caller: who, namespace: who.Namespace, received: time.Now()}
	if !slices.Contains(e.ParamNames(), "namespace") {
		return r, nil
	}
	named, err := r.name("namespace")
	switch {
	case err != nil:
		return nil, errNamespace(r.Param("namespace"))
	case named != whisk.Self:
		r.namespace = named
	}
	return r, nil
}

// errNamespace refuses what cannot be a namespace. Its length is told apart, as
// for other names.
func errNamespace(name string) error {
	if len(name) > whisk.MaxNameBytes {
		return whisk.Errorf(whisk.BadRequest, "Namespace longer than allowed: %d > %d.", len(name), whisk.MaxNameBytes)
	}
	return whisk.Errorf(whisk.BadRequest, "The namespace contains illegal characters.")
}

func (r *request) ctx() context.Context { return r.Request().Context() }

// name is a segment of the path.
func (r *request) name(param string) (whisk.EntityName, error) {
	text := r.Param(param)
	if strings.Contains(text, "/") { // to the router the last segment is all that is left
		return "", echo.ErrNotFound
	}
	if r.Request().URL.RawPath != "" { // then the router went by it
		unescaped, err := url.PathUnescape(text)
		if err != nil {
			return "", whisk.Errorf(whisk.BadRequest, "The name of the entity contains illegal characters.")
		}
		text = unescaped
	}
	return whisk.ParseEntityName(text)
}

// fullName is the name of the entity that the path is about.
func (r *request) fullName() (whisk.FullyQualifiedName, error) {
	name, err := r.name("name")
	path := whisk.EntityPath(r.namespace)
	if err == nil && slices.Contains(r.ParamNames(), "package") {
		var pkg whisk.EntityName
		pkg, err = r.name("package")
		path = whisk.PackagePath(r.namespace, pkg)
	}
	return whisk.FullyQualifiedName{Path: path, Name: name}, err
}

// ownName is fullName for what only the owner of the namespace may do.
func (r *request) ownName() (whisk.FullyQualifiedName, error) {
	name, err := r.fullName()
	if err == nil && !entitlement.Owns(r.caller.Identity, name.Path) {
		err = entitlement.Forbidden(name.ID())
	}
	return name, err
}

// own refuses all but the owner of the namespace.
func (r *request) own() error {
	if r.namespace != r.caller.Namespace {
		return entitlement.Forbidden(string(r.namespace))
	}
	return nil
}

// badQuery is the refusal of a query parameter.
func badQuery(name, format string, args ...any) error {
	return whisk.Errorf(whisk.BadRequest, "The query parameter '%s' was malformed:\n%s", name, fmt.Sprintf(format, args...))
}

// query is a query parameter, and whether it is there.
func (r *request) query(name string) (string, bool) {
	values, ok := r.QueryParams()[name]
	if !ok {
		return "", false
	}
	return values[0], true
}

// flag is a query parameter that says yes or no.
func (r *request) flag(name string, otherwise answer) (bool, error) {
	text, ok := r.query(name)
	if !ok {
		return bool(otherwise), nil
	}
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, badQuery(name, "'%s' is not a valid Boolean value", text)
}

// answer is what a flag means that is not there.
type answer bool

const (
	yes answer = true
	no  answer = false
)

const (
	defaultListLimit = 30
	maxListLimit     = 200
)

// page reads which part of a list of a collection is wanted.
func (r *request) page(collection string) (store.Page, error) {
	limit, err := r.integer("limit", defaultListLimit, collection)
	if err != nil {
		return store.Page{}, err
	}
	if limit < 0 || limit > maxListLimit {
		return store.Page{}, badQuery("limit", "The value '%d' is not in the range of 0 to %d for %s.", limit, maxListLimit, collection)
	}
	skip, err := r.integer("skip", 0, collection)
	if err != nil {
		return store.Page{}, err
	}
	if skip < 0 {
		return store.Page{}, badQuery("skip", "The value '%d' is not greater than or equal to 0 for %s.", skip, collection)
	}
	if limit == 0 {
		limit = maxListLimit
	}
	return store.Page{Skip: skip, Limit: limit}, nil
}

func (r *request) integer(name string, otherwise int, collection string) (int, error) {
	text, ok := r.query(name)
	if !ok {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, badQuery(name, "The value '%s' is not an integer for %s.", text, collection)
	}
	return int(n), nil
}

// count answers with how many there are.
func (r *request) count(collection string, n int, err error) error {
	if err != nil {
		return err
	}
	return r.ok(map[string]int{collection: n})
}

// noContent answers that there is nothing to say.
func (r *request) noContent() error { return r.NoContent(http.StatusNoContent) }
