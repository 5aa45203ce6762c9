package target

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"wasmwhisk/eval/load"
)

// ask makes a request that is not measured. Statuses of 2xx are good, and those
// that are named.
func ask(ctx context.Context, r load.Request, good ...int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return err
	}
	for key, value := range r.Header {
		req.Header.Set(key, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || res.StatusCode/100 == 2 {
		return err
	}
	if slices.Contains(good, res.StatusCode) {
		return nil
	}
	return fmt.Errorf("%s %s: status %d: %s", r.Method, r.URL, res.StatusCode, explanation(said))
}

// explanation is the error of an answer, or the answer.
func explanation(said []byte) string {
	var told struct{ Error string }
	if json.Unmarshal(said, &told) == nil && told.Error != "" {
		return told.Error
	}
	return strings.TrimSpace(string(said))
}
