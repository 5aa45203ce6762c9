package executor

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"wasmwhisk/whisk"
)

// response is what the loop answers.
type response struct {
	result  []byte
	refused *whisk.Error // why there is no result
	timings timings
	last    bool   // the connection ends with it
	ahead   []byte // came of the next request meanwhile
}

func (r *response) status() int {
	if r.refused != nil {
		return statusOf(r.refused.Kind)
	}
	return http.StatusOK
}

func (r *response) body() []byte {
	if r.refused != nil {
		return errorBody(r.refused.Message)
	}
	return r.result
}

// appendHead appends the head of an answer as net/http would write it.
func (r *response) appendHead(to []byte, length int) []byte {
	status := r.status()
	to = append(to, "HTTP/1.1 "...)
	to = strconv.AppendInt(to, int64(status), 10)
	to = append(to, ' ')
	to = append(to, http.StatusText(status)...)
	to = append(to, "\r\nContent-Type: "+echo.MIMEApplicationJSON...)
	if len(r.timings.spans) > 0 {
		to = append(to, "\r\n"+TimingHeader+": "...)
		to = r.timings.appendTo(to)
	}
	to = append(to, "\r\nDate: "...)
	to = time.Now().UTC().AppendFormat(to, http.TimeFormat)
	to = append(to, "\r\nContent-Length: "...)
	to = strconv.AppendInt(to, int64(length), 10)
	if r.last {
		to = append(to, "\r\nConnection: close"...)
	}
	return append(to, "\r\n\r\n"...)
}
