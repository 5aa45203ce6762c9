// Command net is an action that sends a GET request and says how long it took.
package main

import (
	"errors"
	"io"
	"time"

	"wasmwhisk/actionsdk"
	"wasmwhisk/actionsdk/fetch"
)

func main() { actionsdk.Handle(get) }

type input struct {
	URL string `json:"url"`
}

type output struct {
	RequestTime int64 `json:"request_time"` // milliseconds
	Status      int   `json:"status"`
	Bytes       int64 `json:"bytes"` // of the body
}

func get(ctx actionsdk.Context, in input) (output, error) {
	if in.URL == "" {
		return output{}, errors.New("expected url")
	}
	begin := time.Now()
	resp, err := fetch.Get(ctx, in.URL)
	if err != nil {
		return output{}, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return output{}, err
	}
	return output{time.Since(begin).Milliseconds(), resp.Status, n}, nil
}
