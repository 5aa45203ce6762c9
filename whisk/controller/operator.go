package controller

import (
	"crypto/subtle"
	"net/http"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
)

// duty is whether the node takes on activations. Its operator may end that, so
// that a balancer sends them elsewhere, and begin it again.
type duty struct {
	operator whisk.Key // the zero value is nobody
	off      atomic.Bool
}

// check refuses what would be an activation while the node is off duty.
func (d *duty) check() error {
	if d.off.Load() {
		return whisk.Errorf(whisk.Unavailable, "The controller is disabled.")
	}
	return nil
}

// changed is a handler that changes the duty for the operator.
func (d *duty) changed(change func(), told string) echo.HandlerFunc {
	return func(e echo.Context) error {
		if err := d.authenticate(e.Request()); err != nil {
			e.Response().Header().Set(echo.HeaderWWWAuthenticate, realm)
			return err
		}
		change()
		return send(e, http.StatusOK, echo.MIMETextPlainCharsetUTF8, []byte(told))
	}
}

func (d *duty) disable() echo.HandlerFunc {
	return d.changed(func() { d.off.Store(true) }, "controller is disabled")
}

func (d *duty) enable() echo.HandlerFunc {
	return d.changed(func() { d.off.Store(false) }, "controller is enabled")
}

func (d *duty) authenticate(req *http.Request) error {
	user, password, ok := req.BasicAuth()
	if !ok {
		return whisk.Errorf(whisk.Unauthenticated, textNoCredentials)
	}
	given := whisk.Key{UUID: user, Secret: password}
	if d.operator == (whisk.Key{}) || subtle.ConstantTimeCompare([]byte(given.Text()), []byte(d.operator.Text())) == 0 {
		return whisk.Errorf(whisk.Unauthenticated, "username or password are wrong.")
	}
	return nil
}

// The node is its own and only invoker, which is up when it answers and on duty.

func (d *duty) invokers(e echo.Context) error {
	state := "up"
	if d.off.Load() {
		state = "down"
	}
	return sendJSON(e, http.StatusOK, map[string]string{"0": state})
}

func (d *duty) healthyInvokers(e echo.Context) error {
	healthy := 1
	if d.off.Load() {
		healthy = 0
	}
	return sendJSON(e, http.StatusOK, healthy)
}

func (d *duty) invokersReady(e echo.Context) error {
	if d.off.Load() {
		return sendJSON(e, http.StatusInternalServerError, map[string]string{"unhealthy": "1/1"})
	}
	return sendJSON(e, http.StatusOK, map[string]string{"healthy": "1/1"})
}
