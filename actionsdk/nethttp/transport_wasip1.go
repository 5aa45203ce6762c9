package nethttp

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"wasmwhisk/actionsdk/fetch"
)

// RoundTrip sends the request through the host. The request's body is read to
// its end first.
func (Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := readAll(req.Body)
	if err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	resp, err := fetch.Do(req.Context(), fetch.Request{
		Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: body,
	})
	if err != nil {
		return nil, err
	}
	return response(req, resp), nil
}

func readAll(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer body.Close()
	return io.ReadAll(body)
}

// response dresses what the host gave as net/http expects it. The protocol is
// the host's secret; 1.1 stands for it.
func response(req *http.Request, resp *fetch.Response) *http.Response {
	header := http.Header(resp.Header)
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		length = -1
	}
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", resp.Status, http.StatusText(resp.Status)),
		StatusCode: resp.Status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        header,
		Body:          resp.Body,
		ContentLength: length,
		Request:       req,
	}
}
