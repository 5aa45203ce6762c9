package controller

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
	"wasmwhisk/whisk/store"
)

const (
	textNoCredentials  = "The resource requires authentication, which was not supplied with the request" //nolint:gosec // a text about credentials
	textBadCredentials = "The supplied authentication is invalid"
	realm              = `Basic realm="OpenWhisk secure realm"`
)

// caller is who asks.
type caller struct {
	*whisk.Identity
	key whisk.Key
}

// callerKey is where a request's caller is kept.
const callerKey = "caller"

// authenticated lets only known callers further, below the API's path: so even
// what is not there is not told to others.
func (c *Controller) authenticated(next echo.HandlerFunc) echo.HandlerFunc {
	return func(e echo.Context) error {
		if isPublic(e.Request().URL.Path) {
			return next(e)
		}
		who, err := c.authenticate(e.Request())
		if err != nil {
			e.Response().Header().Set(echo.HeaderWWWAuthenticate, realm)
			return err
		}
		e.Set(callerKey, who)
		return next(e)
	}
}

// isPublic tells the paths that everybody may ask for.
func isPublic(path string) bool {
	switch strings.TrimSuffix(path, "/") {
	case apiPath, apiPath + documentPath, apiPath + docsPath:
		return true
	}
	return !isAPI(path)
}

func isAPI(path string) bool { return path == apiPath || strings.HasPrefix(path, apiPath+"/") }

func (c *Controller) authenticate(req *http.Request) (caller, error) {
	uuid, secret, ok := req.BasicAuth()
	if !ok {
		return caller{}, whisk.Errorf(whisk.Unauthenticated, textNoCredentials)
	}
	key := whisk.Key{UUID: uuid, Secret: secret}
	if key.WellKnown() && !(onLoopback(req) && fromHere(req)) {
		return caller{}, whisk.Errorf(whisk.Unauthenticated, textBadCredentials)
	}
	who, err := c.config.Store.Authenticate(req.Context(), key)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBlocked):
		return caller{}, whisk.Errorf(whisk.Unauthenticated, textBadCredentials)
	case err != nil:
		return caller{}, err
	}
	return caller{who, key}, nil
}

// onLoopback tells whether a request comes from this machine. The guest key is
// known to all the world, so that nobody else may use it.
func onLoopback(req *http.Request) bool {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// fromHere tells whether a request that a browser makes is made by a page of this
// machine. Pages of any site may ask the API, and all of them know the guest key.
func fromHere(req *http.Request) bool {
	origin := req.Header.Get(echo.HeaderOrigin)
	if origin == "" {
		return true
	}
	page, err := url.Parse(origin)
	if err != nil {
		return false
	}
	return page.Hostname() == "localhost" || net.ParseIP(page.Hostname()).IsLoopback()
}
