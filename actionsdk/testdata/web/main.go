// Command web is an action that asks for a page through net/http.
package main

import (
	"bytes"
	"io"
	"net/http"

	"wasmwhisk/actionsdk"
	"wasmwhisk/actionsdk/nethttp"
)

func main() { actionsdk.Handle(web) }

type input struct{ URL, Body string }

type output struct {
	Status string      `json:"status"`
	Length int64       `json:"length"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

func web(ctx actionsdk.Context, in input) (output, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, in.URL, bytes.NewReader([]byte(in.Body)))
	if err != nil {
		return output{}, err
	}
	client := &http.Client{Transport: nethttp.Transport{}}
	resp, err := client.Do(req)
	if err != nil {
		return output{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return output{resp.Status, resp.ContentLength, resp.Header, string(body)}, err
}
