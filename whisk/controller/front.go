package controller

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

const (
	headerTransaction = "X-Request-ID"
	headerActivation  = "X-Openwhisk-Activation-Id"

	maxURIBytes         = 8 << 10
	maxTransactionBytes = 256
)

// newFront puts the stations of a request together.
func (c *Controller) newFront() *echo.Echo {
	front := echo.New()
	front.HideBanner, front.HidePort = true, true
	front.HTTPErrorHandler = c.fail
	front.Use(c.metrics.observed, transaction, c.recovering(), c.bodies.timely, short, shared, c.authenticated)
	for _, r := range c.routes() {
		c.register(front, r)
	}
	return front
}

// register adds a route; what can be got can also be asked about.
func (c *Controller) register(front *echo.Echo, r route) {
	handle := r.public
	if handle == nil {
		handle = func(e echo.Context) error {
			req, err := c.newRequest(e)
			if err != nil {
				return err
			}
			return r.handle(req)
		}
	}
	methods := []string{r.method}
	if r.method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	front.Match(methods, r.path, handle)
	if r.slash {
		front.Match(methods, r.path+"/", handle)
	}
}

func (c *Controller) recovering() echo.MiddlewareFunc {
	return middleware.RecoverWithConfig(middleware.RecoverConfig{
		DisableStackAll: true,
		LogErrorFunc: func(e echo.Context, err error, stack []byte) error {
			c.config.Logger.Error("request panicked", slog.String("path", e.Path()), slog.Any("error", err), slog.String("stack", string(stack)))
			return err
		},
	})
}

// transaction gives every request an id, which is the client's own if it may be.
func transaction(next echo.HandlerFunc) echo.HandlerFunc {
	return func(e echo.Context) error {
		id := e.Request().Header.Get(headerTransaction)
		if id == "" || len(id) > maxTransactionBytes || strings.HasPrefix(id, "sid_") {
			id = newTransaction()
		}
		e.Response().Header().Set(headerTransaction, id)
		return next(e)
	}
}

func transactionOf(e echo.Context) string { return e.Response().Header().Get(headerTransaction) }

// newTransaction is 26 letters and digits of chance, and six more that fill them
// up to the length that clients know.
func newTransaction() string { return (rand.Text() + rand.Text())[:32] }

// short refuses requests whose line is too long.
func short(next echo.HandlerFunc) echo.HandlerFunc {
	return func(e echo.Context) error {
		if len(e.Request().RequestURI) > maxURIBytes {
			return echo.NewHTTPError(http.StatusRequestURITooLong, fmt.Sprintf(textLongURI, maxURIBytes))
		}
		return next(e)
	}
}

// shared lets pages of other sites ask the API.
func shared(next echo.HandlerFunc) echo.HandlerFunc {
	return func(e echo.Context) error {
		if !isAPI(e.Request().URL.Path) {
			return next(e)
		}
		h := e.Response().Header()
		h.Set(echo.HeaderAccessControlAllowOrigin, "*")
		h.Set(echo.HeaderAccessControlAllowHeaders, "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent")
		h.Set(echo.HeaderAccessControlAllowMethods, "GET, DELETE, POST, PUT, HEAD")
		if e.Request().Method == http.MethodOptions {
			return e.NoContent(http.StatusOK)
		}
		return next(e)
	}
}
